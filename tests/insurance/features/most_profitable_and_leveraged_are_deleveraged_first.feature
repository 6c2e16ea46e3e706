Feature: Counterparties are deleveraged in the order of their profit and leverage

  Scenario: The rank is profit rate times leverage, or divided by it where there is no profit
    Then these positions rank as told, in millionths
      | entry | worth | profit | equity | rank    | why                                     |
      | 1000  | 1200  | 200    | 600    | 400000  | 20 % profit, 2 times leveraged          |
      | 1000  | 1200  | 200    | 100    | 2400000 | the same profit, 12 times leveraged     |
      | 1000  | 1050  | 50     | 525    | 100000  | less profit                             |
      | 1000  | 1000  | 0      | 10     | 0       | no profit                               |
      | 1000  | 800   | -200   | 400    | -100000 | a loss: the less leveraged stand lower  |
      | 1000  | 800   | -200   | 800    | -200000 |                                         |

  Scenario: The exchange's published example: a short of 20 is closed against the two best ranked longs
    Given these longs
      | account | quantity | rank |
      | 1       | 10       | 3    |
      | 2       | 10       | 6    |
      | 3       | 20       | 1    |
      | 4       | 30       | 4    |
      | 5       | 20       | 5    |
      | 6       | 10       | 2    |
    When a failing short buys back 20
    Then these sell
      | account | quantity |
      | 2       | 10       |
      | 5       | 10       |

  Scenario: On equal rank the lower account number goes first, and nobody closes more than it holds
    Given these longs
      | account | quantity | rank |
      | 9       | 5        | 2    |
      | 8       | 5        | 2    |
      | 7       | 3        | 1    |
    When a failing short buys back 20
    Then these sell
      | account | quantity |
      | 8       | 5        |
      | 9       | 5        |
      | 7       | 3        |
