Feature: The fund pays every deficit in full while it suffices, else pro rata, the last units by largest remainder
  Amounts in the asset's smallest units.

  Scenario Outline: Three accounts owe 100, 200 and 400
    Given the fund holds <fund>
    And accounts 101, 102 and 103 owe 100, 200 and 400
    When the fund pays
    Then they are paid <first>, <second> and <third>

    Examples:
      | fund | first | second | third | why                                                      |
      | 1000 | 100   | 200    | 400   | enough for all                                           |
      | 700  | 100   | 200    | 400   | exactly enough                                           |
      | 350  | 50    | 100    | 200   | half for each                                            |
      | 500  | 71    | 143    | 286   | 71.43, 142.86, 285.71: both last units to the larger rests |
      | 1    | 0     | 0      | 1     | 0.14, 0.29, 0.57: the largest rest takes the only unit   |
      | 0    | 0     | 0      | 0     | nothing there                                            |
      | -50  | 0     | 0      | 0     | a fund below zero pays nothing                           |

  Scenario: Among equal remainders the lowest account number comes first
    Given the fund holds 101
    And accounts 103, 101 and 102 owe 100, 100 and 100
    When the fund pays
    Then they are paid 33, 34 and 34

  Scenario: An asset pays its own deficits only
    Given the fund holds 1000
    And account 101 owes 5 of another asset
    When the fund pays
    Then nothing is paid
