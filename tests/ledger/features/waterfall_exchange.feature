Feature: Under the policy "exchange" the house pays first, then the fund, and nobody else
  The clearinghouse's own capital comes before the insurance fund, up to the quarter of it that the policy lets be used.
  Where a layer is short each account gets its part of it, to the unit: by largest remainder, then account number. What
  is still owed stays owed; no other customer's balance moves. All amounts are smallest units of one asset.

  Scenario Outline: what each layer bears of what Ann and Bob owe
    Given own capital of <capital> and a fund of <fund>
    And the policy "exchange"
    When Ann owes <ann> and Bob owes <bob>
    Then own capital pays <a1> for Ann and <b1> for Bob
    And the fund pays <a2> for Ann and <b2> for Bob
    And Ann still owes <a3> and Bob <b3>
    And Carol has what she had

    Examples:
      | capital | fund | ann | bob | a1 | b1 | a2  | b2 | a3 | b3 | why                                     |
      | 400     | 1000 | 60  | 0   | 60 | 0  | 0   | 0  | 0  | 0  | the quarter of the capital is enough    |
      | 400     | 1000 | 100 | 0   | 100| 0  | 0   | 0  | 0  | 0  | exactly enough                          |
      | 400     | 1000 | 101 | 0   | 100| 0  | 1   | 0  | 0  | 0  | one unit more, and the fund begins      |
      | 400     | 1000 | 900 | 200 | 82 | 18 | 818 | 182| 0  | 0  | capital is short: pro rata              |
      | 400     | 1000 | 900 | 201 | 82 | 18 | 817 | 183| 1  | 0  | one unit short: it is Ann's, by remainder |
      | 0       | 1000 | 900 | 100 | 0  | 0  | 900 | 100| 0  | 0  | the fund has exactly enough             |
      | 0       | 999  | 900 | 100 | 0  | 0  | 899 | 100| 1  | 0  | one unit short                          |
      | 0       | 3    | 2   | 2   | 0  | 0  | 2   | 1  | 0  | 1  | equal remainders: the lower number      |
      | 0       | 0    | 5   | 7   | 0  | 0  | 0   | 0  | 5  | 7  | nothing is there: both stay owing       |
      | 3       | 10   | 9   | 0   | 0  | 0  | 9   | 0  | 0  | 0  | a quarter of three, rounded down, is 0  |
      | 7       | 0    | 9   | 0   | 1  | 0  | 0   | 0  | 8  | 0  | a quarter of seven is 1                 |

  Scenario: the limit on own capital holds for as long as the policy does, not for a mark
    Given own capital of 400 and a fund of 0
    And the policy "exchange"
    When Ann owes 70 and Bob owes 0
    And Ann owes 70 more
    Then own capital pays 100 for Ann and 0 for Bob
    And Ann still owes 40 and Bob 0

  Scenario: published anew, its limits are counted anew
    Given own capital of 400 and a fund of 0
    And the policy "exchange"
    When Ann owes 170 and Bob owes 0
    And the policy "exchange" is published anew
    Then own capital pays 170 for Ann and 0 for Bob
    And Ann still owes 0 and Bob 0

  Scenario: an asset without a fund pays nothing, and the dollar fund does not pay for it
    Given own capital of 4000 and a fund of 5000
    And the policy "exchange"
    When Ann owes 90 of bitcoin
    Then nothing is paid for Ann in bitcoin
    And the fund still has 5000

  Scenario: without a policy the fund pays alone, as ever
    Given own capital of 400 and a fund of 50
    When Ann owes 60 and Bob owes 0
    Then the fund alone pays 50 for Ann
    And own capital still has 400
