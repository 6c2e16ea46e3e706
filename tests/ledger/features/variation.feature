Feature: Settled-to-market futures pay at each settlement price, collateralised ones when they end
  A lot is 0.001 BTC. Money in dollars.

  Background:
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |

  Scenario: The same trade in both
    When these trades are cleared
      | buyer | seller | instrument  | lots | price |
      | Alice | Bob    | BTC-STM     | 10   | 8000  |
      | Alice | Bob    | BTC-13MAR20 | 10   | 8000  |
    And the settlement price of both is 8300
    And the mark is at 8300
    Then the positions are
      | account | instrument  | lots | cost | realised | dollars | why                             |
      | Alice   | BTC-STM     | 10   | 83   | 3        | 1003    | the gain is cash, the cost new  |
      | Alice   | BTC-13MAR20 | 10   | 80   | 0        | 1003    | the gain is open                |
      | Bob     | BTC-STM     | -10  | -83  | -3       | 997     |                                 |
      | Bob     | BTC-13MAR20 | -10  | -80  | 0        | 997     |                                 |
    When the final settlement price of the expiry is 8100
    And the expiry is marked
    Then the dollars are
      | account | dollars |
      | Alice   | 1002    |
      | Bob     | 998     |
    And nobody holds anything

  Scenario: A delisted perp is settled at its own final price, its funding paid
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  |
    And the funding rate of BTC-PERP is 0.1 % at the next mark
    And BTC-PERP is delisted
    And the mark is at 8000
    And the final settlement price of BTC-PERP is 8250
    And the mark is at 8000
    Then the dollars are
      | account | dollars |
      | Alice   | 1002.42 |
      | Bob     | 997.58  |
    And nobody holds anything

  Scenario: What rounding leaves of an inverse contract is named
    # Ten dollars at 8,700 are 0.00114942|53 BTC and twenty 0.00229885|06: two halves make a satoshi.
    Given accounts with dollars
      | account | dollars |
      | Carol   | 1000    |
    When these trades are cleared
      | buyer | seller | instrument   | lots | price |
      | Alice | Bob    | BTC-PERP-INV | 1    | 8000  |
      | Carol | Bob    | BTC-PERP-INV | 1    | 8000  |
    And BTC-PERP-INV is delisted
    And the mark is at 8000
    And the final settlement price of BTC-PERP-INV is 8700
    And the mark is at 8000
    Then the balances are
      | account  | dollars | BTC         |
      | Alice    | 1000    | 0.00010058  |
      | Carol    | 1000    | 0.00010058  |
      | Bob      | 1000    | -0.00020115 |
      | ROUNDING | 0       | -0.00000001 |
    And the clearinghouse has 0 dollars and owns nothing
