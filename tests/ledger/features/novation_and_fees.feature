Feature: Every trade is two legs against the clearinghouse; fees go to the clearinghouse and a fifth of them to the fund
  A lot is 0.001 BTC. Prices in dollars for one BTC, money in dollars. The clearinghouse holds no position, and its cash is
  minus what the open positions cost.

  Background:
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |
      | Carol   | 1000    |

  Scenario: A futures position is opened, added to, reduced, closed and turned
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  |
    Then the positions are
      | account | instrument | lots | cost | realised | dollars | why                                   |
      | Alice   | BTC-PERP   | 10   | 80   | 0        | 1000    | nothing is paid for a perp            |
      | Bob     | BTC-PERP   | -10  | -80  | 0        | 1000    | the other side                        |
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 5    | 8200  |
    Then the positions are
      | account | instrument | lots | cost | realised | dollars | why                                   |
      | Alice   | BTC-PERP   | 15   | 121  | 0        | 1000    | 80 + 41                               |
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Carol | Alice  | BTC-PERP   | 4    | 8500  |
    Then the positions are
      | account | instrument | lots | cost      | realised | dollars     | why                                        |
      | Alice   | BTC-PERP   | 11   | 88.733334 | 1.733334 | 1001.733334 | 34 for what cost 32.266666, rounded down   |
      | Carol   | BTC-PERP   | 4    | 34        | 0        | 1000        |                                            |
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Bob   | Alice  | BTC-PERP   | 16   | 8500  |
    Then the positions are
      | account | instrument | lots | cost  | realised | dollars | why                                        |
      | Alice   | BTC-PERP   | -5   | -42.5 | 6.5      | 1006.5  | 93.5 for 88.733334, and five sold anew     |
      | Bob     | BTC-PERP   | 1    | 8.5   | -6.5     | 993.5   | all 121 bought back at 127.5               |
      | Carol   | BTC-PERP   | 4    | 34    | 0        | 1000    |                                            |
    And the clearinghouse has 0 dollars and owns nothing

  Scenario: Fees, rebates and the fund's share
    When these trades are cleared
      | buyer | seller | instrument | lots | price | buyer fee | seller fee |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  | 0.04      | -0.01      |
    Then the house has
      | account | dollars | why                                  |
      | FEES    | 0.022   | 0.04 less a fifth, less the rebate   |
      | FUND    | 0.008   | a fifth of 0.04, nothing of a rebate |
    And the dollars are
      | account | dollars |
      | Alice   | 999.96  |
      | Bob     | 1000.01 |

  Scenario: A bust takes everything back, fees and the fund's share included
    When these trades are cleared
      | buyer | seller | instrument | lots | price | buyer fee | seller fee |
      | Alice | Bob    | BTC-PERP   | 10   | 8000  | 0.04      | -0.01      |
    And they are reversed
    Then the house has
      | account | dollars | why |
      | FEES    | 0       |     |
      | FUND    | 0       |     |
    And the positions are
      | account | instrument | lots | cost | realised | dollars | why |
      | Alice   | BTC-PERP   | 0    | 0    | 0        | 1000    |     |
      | Bob     | BTC-PERP   | 0    | 0    | 0        | 1000    |     |

  Scenario: A spot trade moves dollars and coins at once
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-USD    | 10   | 8000  |
    Then the balances are
      | account | dollars | BTC   |
      | Alice   | 920     | 0.01  |
      | Bob     | 1080    | -0.01 |

  Scenario: An option's premium is paid at once, and a futures style option's is not
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-C8000  | 10   | 300   |
      | Alice | Carol  | BTC-FC8000 | 10   | 300   |
    Then the positions are
      | account | instrument | lots | cost | realised | dollars | why                                     |
      | Alice   | BTC-C8000  | 10   | 3    | 0        | 997     | 10 x 0.001 x 300                        |
      | Alice   | BTC-FC8000 | 10   | 3    | 0        | 997     | margined                                |
      | Bob     | BTC-C8000  | -10  | -3   | 0        | 1003    |                                         |
      | Carol   | BTC-FC8000 | -10  | -3   | 0        | 1000    |                                         |

  Scenario: An inverse contract pays in coins, and both legs cancel although coins are rounded
    # A lot is ten dollars of BTC: 10 lots at 9,000 are 0.01111111 BTC.
    When these trades are cleared
      | buyer | seller | instrument   | lots | price |
      | Alice | Bob    | BTC-PERP-INV | 10   | 9000  |
    Then the coins of the positions are
      | account | instrument   | lots | cost        | realised   | BTC        | why                                |
      | Alice   | BTC-PERP-INV | 10   | -0.01111111 | 0          | 0          | rounded down                       |
      | Bob     | BTC-PERP-INV | -10  | 0.01111111  | 0          | 0          | the same magnitude                 |
    When these trades are cleared
      | buyer | seller | instrument   | lots | price |
      | Bob   | Alice  | BTC-PERP-INV | 10   | 10000 |
    Then the coins of the positions are
      | account | instrument   | lots | cost        | realised   | BTC         | why                               |
      | Alice   | BTC-PERP-INV | 0    | 0           | 0.00111111 | 0.00111111  | 0.01111111 - 0.01                 |
      | Bob     | BTC-PERP-INV | 0    | 0           | -0.00111111 | -0.00111111 |                                  |

  Scenario: A quanto contract follows ETH in dollars and pays a fixed amount of BTC
    # A lot pays 50 satoshi for each cent.
    When these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | ETH-QUANTO | 10   | 200   |
      | Bob   | Alice  | ETH-QUANTO | 10   | 230   |
    Then the coins of the positions are
      | account | instrument | lots | cost | realised | BTC     | why                          |
      | Alice   | ETH-QUANTO | 0    | 0    | 0.015    | 0.015   | 10 x 3,000 cents x 50        |
      | Bob     | ETH-QUANTO | 0    | 0    | -0.015   | -0.015  |                              |
