Feature: Funding accrues to an index and is settled before a position changes
  A lot of BTC-PERP is 0.001 BTC, at 8,000 worth 8 dollars. Longs pay a positive rate. Money in dollars.

  Background:
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |
      | Carol   | 1000    |

  Scenario: What is accrued belongs to those who held the position then
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  |
    And the funding rate of BTC-PERP is 0.1 % at the next mark
    And the mark is at 8000
    Then the dollars are
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |
    And the equity is
      | account | dollars | why                    |
      | Alice   | 999.92  | 0.1 % of 80 is accrued |
      | Bob     | 1000.08 |                        |
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Carol | Alice  | BTC-PERP   | 10   | 8000  |
    Then the dollars are
      | account | dollars |
      | Alice   | 999.92  |
      | Bob     | 1000    |
      | Carol   | 1000    |
    And the house has
      | account | dollars | why                        |
      | FUNDING | 0.08    | kept for Bob's next change |
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Bob   | Carol  | BTC-PERP   | 10   | 8000  |
    Then the dollars are
      | account | dollars |
      | Alice   | 999.92  |
      | Bob     | 1000.08 |
      | Carol   | 1000    |
    And the house has
      | account | dollars | why |
      | FUNDING | 0       |     |

  Scenario: What cannot be divided is kept from the accounts
    # 0.0000001 % of 8 dollars are 0.008 millionths a lot: nobody can be paid that.
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  |
    And the funding rate of BTC-PERP is 0.0000001 % at the next mark
    And the mark is at 8000
    And these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Bob   | Alice  | BTC-PERP   | 10   | 8000  |
    Then the dollars are
      | account | dollars    |
      | Alice   | 999.999999 |
      | Bob     | 1000       |
    And the house has
      | account | dollars  | why                                   |
      | FUNDING | 0.000001 | Alice paid 0.08 millionths, rounded up |
