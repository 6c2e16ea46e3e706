Feature: Under the policy "ccp" a defaulter's member pays first, then the house, then the other members, then the gains
  Member 1 stands behind Ann and Bob, who owe; members 2 and 3 did not fail. Half of the clearinghouse's own capital may
  be used. Each member may be called for its contribution once again, from what its house account holds above its
  initial margin; up to nine tenths of what others gained since the last mark may be withheld. All amounts are smallest
  units of one asset.

  Scenario Outline: what each layer bears of a loss
    Given own capital of <capital> and a fund of 77
    And members 1, 2 and 3 contributed <c1>, <c2> and <c3>
    And the policy "ccp"
    And since the last mark Gwen gained <gain>
    When Ann owes <loss> and Bob owes 0
    Then the member's own contribution bears <own>
    And own capital bears <house>
    And the default fund bears <m2> of member 2 and <m3> of member 3
    And members 2 and 3 are called for <s2> and <s3>
    And haircuts of gains bear <cut>
    And Ann still owes <owed> and Bob 0
    And the insurance fund, which the policy does not name, still has 77

    Examples:
      | c1 | c2  | c3 | capital | gain  | loss  | own | house | m2  | m3 | s2  | s3 | cut  | owed | why                             |
      | 30 | 100 | 50 | 1000    | 0     | 30    | 30  | 0     | 0   | 0  | 0   | 0  | 0    | 0    | its own contribution is enough  |
      | 30 | 100 | 50 | 1000    | 0     | 31    | 30  | 1     | 0   | 0  | 0   | 0  | 0    | 0    | one unit more                   |
      | 30 | 100 | 50 | 1000    | 0     | 530   | 30  | 500   | 0   | 0  | 0   | 0  | 0    | 0    | half of the capital             |
      | 30 | 100 | 50 | 1000    | 0     | 533   | 30  | 500   | 2   | 1  | 0   | 0  | 0    | 0    | survivors two to one            |
      | 30 | 100 | 50 | 1000    | 0     | 534   | 30  | 500   | 3   | 1  | 0   | 0  | 0    | 0    | the unit to the largest remainder |
      | 30 | 100 | 50 | 1000    | 0     | 680   | 30  | 500   | 100 | 50 | 0   | 0  | 0    | 0    | all of the default fund         |
      | 30 | 100 | 50 | 1000    | 0     | 683   | 30  | 500   | 100 | 50 | 2   | 1  | 0    | 0    | assessments begin               |
      | 30 | 100 | 50 | 1000    | 0     | 830   | 30  | 500   | 100 | 50 | 100 | 50 | 0    | 0    | each up to its cap              |
      | 30 | 100 | 50 | 1000    | 10000 | 5830  | 30  | 500   | 100 | 50 | 100 | 50 | 5000 | 0    | gains are cut                   |
      | 30 | 100 | 50 | 1000    | 10000 | 9831  | 30  | 500   | 100 | 50 | 100 | 50 | 9000 | 1    | nine tenths of the gains at most |
      | 30 | 100 | 50 | 1000    | 0     | 831   | 30  | 500   | 100 | 50 | 100 | 50 | 0    | 1    | no gains: one unit stays owed   |
      | 0  | 0   | 0  | 0       | 0     | 5     | 0   | 0     | 0   | 0  | 0   | 0  | 0    | 5    | nothing at all                  |

  Scenario: the defaulter's member has two accounts in deficit, and its contribution is shared between them
    Given own capital of 0 and a fund of 0
    And members 1, 2 and 3 contributed 30, 0 and 0
    And the policy "ccp"
    When Ann owes 20 and Bob owes 40
    Then the member's own contribution bears 10 for Ann and 20 for Bob
    And Ann still owes 10 and Bob 20

  Scenario: a member can be called for no more than its house account has to spare
    Given own capital of 0 and a fund of 0
    And members 1, 2 and 3 contributed 0, 100 and 100
    And the policy "ccp"
    And member 2's house account has 40 left
    When Ann owes 400 and Bob owes 0
    Then the default fund bears 100 of member 2 and 100 of member 3
    And members 2 and 3 are called for 40 and 100
    And Ann still owes 60 and Bob 0

  Scenario: what came too late pays the next deficit before any layer is touched again
    Given own capital of 1000 and a fund of 0
    And members 1, 2 and 3 contributed 0, 0 and 0
    And the policy "ccp"
    When Ann owes 60, and pays it herself while the capital is on its way
    Then own capital was asked for 60 and nothing is owed
    And 60 lie laid out
    When Bob owes 70 then
    Then what was laid out pays 60 for Bob and own capital 10

  Scenario: gains are cut pro rata, and the remainder lies in a named account
    Given own capital of 0 and a fund of 0
    And members 1, 2 and 3 contributed 0, 0 and 0
    And the policy "ccp"
    And since the last mark Gwen gained 1000 and Hugo 2000
    When Ann owes 100 and Bob owes 0
    Then 34 are withheld from Gwen and 67 from Hugo
    And haircuts of gains bear 100
    And 1 lies laid out

  Scenario: a gain is cut only once, and an account that gained nothing is not touched
    Given own capital of 0 and a fund of 0
    And members 1, 2 and 3 contributed 0, 0 and 0
    And the policy "ccp"
    And since the last mark Gwen gained 1000
    When Ann owes 5000 and Bob owes 0
    Then 900 are withheld from Gwen
    And Carol has what she had
    When another mark comes at the same price
    Then 900 are withheld from Gwen
    And Ann still owes 4100 and Bob 0

  Scenario: a position that nobody takes is torn up at the mark, pro rata over the other side
    Given own capital of 0 and a fund of 0
    And the policy "ccp"
    And Fred is long 10 lots against Gwen, short 6, and Hugo, short 4
    When the price falls so far that Fred cannot hold them, and nobody bids
    Then Gwen buys 6 and Hugo 4 of it at the mark
    And Fred holds nothing

  Scenario: with the policy "exchange" it is deleveraged by rank at the bankruptcy price
    Given own capital of 0 and a fund of 0
    And the policy "exchange"
    And Fred is long 10 lots against Gwen, short 6, and Hugo, short 4
    When the price falls so far that Fred cannot hold them, and nobody bids
    Then Fred holds nothing
    And nothing was torn up
