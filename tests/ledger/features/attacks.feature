Feature: Attacks that emptied others, replayed: each is stopped by a rule that has a name, and the same without it is not
  Each table has its counter-case, in which the rule is off and the money is gone.

  # 11 October 2022: two accounts of one owner traded 483 million MNGO-PERP with each other at 0.038, spot was pushed to
  # 0.91 in minutes, and some 116 million were taken out against the gain. Here: 300 lots of 1,000 at 0.04.
  Scenario Outline: A thin token is pushed 24-fold: <why>
    Given Eve and Mallory with 5000 dollars each, and Bob with 300000 dollars and 50 BTC
    And Eve is long 300 lots of MNGO-PERP against Mallory
    And a price may move by <deviation> % between two rounds
    When MNGO is pushed to 0.91 in <rounds> rounds
    Then its price is <price>
    And the last push was <answer>

    Examples:
      | deviation | rounds | price | answer         | why                                                     |
      | 50        | 1      | 0.04  | ORACLE_OUTLYING | one push that far is not believed                      |
      | 5         | 9      | 0.04  | ORACLE_OUTLYING | nor nine of 42 %, where a thin token may move by 5 %   |
      | 2400      | 1      | 0.91  | accepted       | the guard wide open                                     |
      | 50        | 9      | 0.91  | accepted       | each push is a good price: what follows must stop it    |

  Scenario Outline: What is taken out against it: <why>
    Given Eve and Mallory with 5000 dollars each, and Bob with 300000 dollars and 50 BTC
    And withdrawals are <hold> in deficit
    And Eve is long 300 lots of MNGO-PERP against Mallory
    When MNGO is pushed to 0.91 in 9 rounds
    And Eve <does>
    And she asks for <asks>
    And the mark is made
    Then the answer is <answer>
    And <left> of it is on its way

    Examples: the gain is not there to take, in no asset
      | hold     | does                           | asks           | answer                  | left           | why                                        |
      | not held | waits                          | 700 dollars    | WITHDRAWAL_BELOW_MARGIN | 0 dollars      | her margin grew 24-fold, the gain is not cash |
      | not held | buys 20 BTC of Bob on credit   | 20 BTC         | WITHDRAWAL_BELOW_MARGIN | 0 BTC          | what she borrows is not covered by it      |

    Examples: the gain made cash by trading with herself, at the price of a debt that Mallory will not pay
      | hold     | does                           | asks           | answer                  | left           | why                                        |
      | not held | sells all to Mallory at 0.91   | 260000 dollars | approved                | 260000 dollars | the rule is off: Bob's dollars are gone    |
      | held     | sells all to Mallory at 0.91   | 260000 dollars | waits                   | 0 dollars      | nothing leaves while Mallory's debt stands |

  # 26 November 2020: one exchange's DAI stood at 1.30 for some minutes; 89 million of Compound's loans were liquidated.
  Scenario Outline: One venue's price is pushed for a moment to liquidate others: <why>
    Given <feeds> feeds must agree on BTC, and a call has <grace> marks of grace
    And Alice with 500 dollars is long 300 lots of BTC-PERP
    When one venue's price of BTC is 7200 for one mark, and a liquidator bids
    Then Alice is <then> and holds <lots> lots
    When the price is 8000 again
    Then Alice is <at last> and has <equity> dollars

    Examples:
      | feeds | grace | then        | lots | at last | equity   | why                                                  |
      | 0     | 0     | LIQUIDATING | 150  | HEALTHY | 374.60   | one source, no grace: half is sold at 0.50 % below   |
      | 0     | 1     | CALLED      | 300  | HEALTHY | 500      | a mark of grace outlasts the push                    |
      | 2     | 0     | HEALTHY     | 300  | HEALTHY | 500      | two of three feeds say 8000: the price never moved   |

  # 1 April 2026: with an administrator's rights a worthless token was listed as collateral on Drift, its price made, the
  # limits on withdrawals lifted, and some 280 million of real assets taken out within minutes.
  Scenario Outline: A token of no worth is listed as collateral and real coins are taken out: <why>
    Given Eve and Mallory with 5000 dollars each, and Bob with 300000 dollars and 50 BTC
    And <rule>
    When a token is listed with a haircut of <haircut> %, a million of it is Eve's, and <price>
    And <change> is changed at once
    And Eve buys 50 BTC of Bob on credit
    And she asks for 50 BTC
    And the mark is made
    Then the answer is <answer>
    And <left> of it is on its way
    And what was refused on the way is <refused>

    Examples:
      | rule                              | haircut | price                 | change                | refused            | answer                  | left   | why                                           |
      | no rule is set                    | 0       | it is said to be 1    | nothing               | nothing            | approved                | 50 BTC | Bob's coins are gone against a million of air |
      | no rule is set                    | 0       | nobody says its price | nothing               | nothing            | WITHDRAWAL_BELOW_MARGIN | 0 BTC  | what has no price is worth nothing            |
      | no rule is set                    | 100     | it is said to be 1    | its haircut, to 0     | PARAMETER_TOO_SOON | WITHDRAWAL_BELOW_MARGIN | 0 BTC  | a lower haircut takes notice                  |
      | new collateral waits a week       | 0       | it is said to be 1    | nothing               | nothing            | WITHDRAWAL_BELOW_MARGIN | 0 BTC  | listed today, it counts in a week             |
      | new collateral waits a week       | 0       | it is said to be 1    | that week, to nothing | PARAMETER_TOO_SOON | WITHDRAWAL_BELOW_MARGIN | 0 BTC  | and the week itself takes notice to change    |
      | an asset's price may move by 10 % | 0       | it is said to be 0.01, then 1 | nothing       | ORACLE_OUTLYING    | WITHDRAWAL_BELOW_MARGIN | 0 BTC  | a price is not made in one step               |
      | 10 % of BTC may leave in a day    | 0       | it is said to be 1    | nothing               | nothing            | WITHDRAWAL_RATE         | 0 BTC  | more than a day's part, whoever it belongs to |
      | 10 % of BTC may leave in a day    | 0       | it is said to be 1    | that limit, to 100 %  | PARAMETER_TOO_SOON | WITHDRAWAL_RATE         | 0 BTC  | a raised limit takes notice                   |
