Feature: Who is paid for by others and has nothing left is closed, until the registrar opens the account again
  With CLOSE_DEFAULTED the last rung is the fold's to give: an account whose deficit the fund or a layer of the waterfall
  paid, and that then holds nothing and owes nothing, is CLOSED at the next mark. All amounts are smallest units of the
  dollar. Alice owes 100 at the first mark; what others pay of it they pay there.

  Scenario Outline: <why>
    Given the rule is <rule> and losses are paid <how>
    And own capital of <capital> and a fund of <fund>
    When Alice owes 100
    Then Alice is DEFICIT and others paid <paid>
    When Alice then deposits <deposit>
    And the next mark is answered
    Then Alice is <rung>, her account is <status> and has <left>

    Examples: paid by others
      | rule | how             | capital | fund | paid | deposit | rung    | status | left | why                                   |
      | on   | by the fund     | 0       | 500  | 100  | 0       | CLOSED  | CLOSED | 0    | paid in full, nothing left            |
      | off  | by the fund     | 0       | 500  | 100  | 0       | HEALTHY | OPEN   | 0    | the rule is off, as it always was     |
      | on   | by a waterfall  | 160     | 500  | 100  | 0       | CLOSED  | CLOSED | 0    | two layers of it                      |
      | on   | by a waterfall  | 400     | 0    | 100  | 0       | CLOSED  | CLOSED | 0    | own capital alone                     |
      | on   | by the fund     | 0       | 60   | 60   | 0       | DEFICIT | OPEN   | -40  | what is still owed is found again     |

    Examples: paid by herself, or something of her own
      | rule | how             | capital | fund | paid | deposit | rung    | status | left | why                                   |
      | on   | by the fund     | 0       | 0    | 0    | 100     | HEALTHY | OPEN   | 0    | she paid it herself: nobody was asked |
      | on   | by the fund     | 0       | 500  | 100  | 1       | HEALTHY | OPEN   | 1    | she put money in before the mark      |
      | on   | by the fund     | 0       | 60   | 60   | 41      | HEALTHY | OPEN   | 1    | part of it, and she has money again   |
      | on   | by the fund     | 0       | 60   | 60   | 40      | CLOSED  | CLOSED | 0    | part of it, and she has nothing       |

  Scenario Outline: What could still come to an account keeps it open: <why>
    Given the rule is on and losses are paid by the fund
    And own capital of 0 and a fund of 100000
    And Alice has <what>
    When Alice owes 50000
    And the next mark is answered
    Then Alice is <rung>, her account is OPEN and has 0

    Examples:
      | what                    | rung    | why                                          |
      | a withdrawal on its way | HEALTHY | the custodian may return it                  |
      | 7 satoshi               | HEALTHY | less than a lot, which nobody sells for her  |
      | a fee not yet due       | DEFICIT | it is owed, and will be found when it is due |

  Scenario: A closed account takes nothing, and is opened again by the registrar alone
    Given the rule is on and losses are paid by the fund
    And own capital of 0 and a fund of 500
    When Alice owes 100
    And the next mark is answered
    Then Alice is CLOSED, her account is CLOSED and has 0
    And this is what she may do
      | what         | answer         |
      | deposit      | ACCOUNT_CLOSED |
      | withdraw     | ACCOUNT_CLOSED |
      | order        | ACCOUNT_CLOSED |
      | leg          | ACCOUNT_CLOSED |
    When 3 more marks are answered
    Then Alice is CLOSED, her account is CLOSED and has 0
    And it was told once that she is closed, and by what
    When the registrar opens her account again
    Then Alice is HEALTHY, her account is OPEN and has 0
    And this is what she may do
      | what         | answer         |
      | deposit      | accepted       |

  Scenario: A closed account that comes to owe again falls and is closed again
    Given the rule is on and losses are paid by the fund
    And own capital of 0 and a fund of 500
    When Alice owes 100
    And the next mark is answered
    And Alice owes 30
    Then Alice is DEFICIT and others paid 130
    When the next mark is answered
    Then Alice is CLOSED, her account is CLOSED and has 0
