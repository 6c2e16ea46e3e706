Feature: What an account must have
  Prices in dollars: BTC 100,000, ETH 4,000. One lot is one coin. Every account holds dollars and nothing owed.
  SPAN-shaped: BTC may move 15 %, ETH 20 %; opposite underlyings get half of the hedged risk back; leaning one expiry on
  another costs 1 % of the hedged amount for BTC, 1.5 % for ETH.

  Scenario: Short ETH against long BTC needs less than the two alone
    Given an account under the "span" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        1 |
      | ETH-PERP   |      -25 |
    Then its scan risk is 35000 dollars
    And its credit is 17500 dollars
    And its maintenance margin is 17500 dollars

  Scenario: Long ETH beside long BTC gets no credit
    Given an account under the "span" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        1 |
      | ETH-PERP   |       25 |
    Then its credit is 0 dollars
    And its maintenance margin is 35000 dollars

  Scenario: Two expiries of one underlying pay for each other but for the basis
    Given an account under the "span" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        2 |
      | BTC-JUN    |       -2 |
    Then its scan risk is 0 dollars
    And its basis charge is 2000 dollars
    And its maintenance margin is 2000 dollars

  Scenario: Delta netting charges the net amount
    Given an account under the "delta_netting" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        3 |
      | BTC-JUN    |       -1 |
      | ETH-PERP   |      -25 |
    Then its maintenance margin is 50000 dollars

  Scenario: Isolated positions do not pay for each other
    Given an account under the "isolated" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        3 |
      | BTC-JUN    |       -1 |
      | ETH-PERP   |      -25 |
    Then its maintenance margin is 80000 dollars

  Scenario: Open orders count in the initial margin alone, at their worst subset
    Given an account under the "delta_netting" profile with 50000 dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        1 |
    And it has the orders
      | instrument | quantity | price  |
      | BTC-PERP   |        1 | 100000 |
      | BTC-PERP   |       -4 | 100000 |
    Then its maintenance margin is 15000 dollars
    And its initial margin is 63000 dollars

  Scenario Outline: An account is called when equity is below maintenance and buffer
    Given an account under the "delta_netting" profile with <equity> dollars
    When it holds
      | instrument | quantity |
      | BTC-PERP   |        1 |
    Then its buffer is 1500 dollars
    And it is <called>

    Examples:
      | equity       | called     |
      | 16500        | not called |
      | 16499.999999 | called     |
