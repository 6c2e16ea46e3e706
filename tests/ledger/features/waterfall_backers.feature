Feature: Backers of the insurance fund leave after the notice, and after the losses that are there
  The backer put 100 into an empty fund and has 100 units of it. It asks for 50 units back; the notice is two hours. The
  first mark past it pays this mark's deficits first. All amounts are smallest units of one asset.

  Scenario Outline: what the backer is paid at the first mark past the notice
    Given contributions to the fund become units of it
    And <policy> policy
    And a backer that put in 100 and asks for 50 units back
    When the notice is over and Ann owes <owes> at that mark
    Then the backer is paid <paid>
    And the fund has <left> and the backer <units> units

    Examples:
      | policy     | owes | paid    | left | units | why                                     |
      | no         | 0    | 50      | 50   | 50    | half of the fund                        |
      | exchange's | 0    | 50      | 50   | 50    | likewise                                |
      | no         | 80   | 10      | 10   | 50    | losses come first                       |
      | exchange's | 80   | 10      | 10   | 50    | likewise                                |
      | exchange's | 81   | 9       | 10   | 50    | rounded against the backer              |
      | exchange's | 100  | nothing | 0    | 100   | the fund is used up: the request waits  |
      | exchange's | 101  | nothing | 0    | 100   | and one unit is owed                    |

  Scenario: nothing is paid before the notice is over
    Given contributions to the fund become units of it
    And exchange's policy
    And a backer that put in 100 and asks for 50 units back
    When a mark comes before the notice is over
    Then the backer is paid nothing
    And the fund has 100 and the backer 100 units

  Scenario: a second backer pays what a unit is worth when it comes
    Given contributions to the fund become units of it
    And exchange's policy
    And a backer that put in 100 and asks for 50 units back
    When Ann owes 60 at a mark before that
    And another backer puts in 100
    Then the other backer has 250 units
    When the notice is over and Ann owes 0 at that mark
    Then the backer is paid 20
    And the fund has 120 and the backer 50 units
