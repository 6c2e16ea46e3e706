Feature: Who is liquidated pays the fund a fee, who reduces by himself pays none, and no fee makes anybody owe
  Alice has 150 dollars and is long 100 lots of BTC-PERP bought at 8,000; at 7,700 she is in liquidation with 120 dollars.
  The fee is a part of what is got for what is sold; an award at a price below the mark has cost her that already.

  Scenario Outline: <why>
    Given a liquidation fee of <rate> %
    And Alice is in liquidation with 120 dollars
    When <lots> lots of hers are awarded at <price>
    Then she has paid the fund <fee> dollars
    And her equity is <equity> dollars
    And the other fees are 0 dollars

    Examples: a part of the value
      | rate | lots | price | fee   | equity  | why                                             |
      | 0    | 50   | 7700  | 0     | 120     | no fee is set                                   |
      | 1    | 50   | 7700  | 3.85  | 116.15  | 1 % of 385                                      |
      | 1    | 50   | 7600  | 3.80  | 111.20  | 1 % of 380, and 5 of discount                   |
      | 1    | 100  | 7600  | 7.60  | 102.40  | 1 % of 760, and 10                              |

    Examples: never more than is left
      | rate | lots | price | fee   | equity  | why                                             |
      | 1    | 100  | 6550  | 5     | 0       | 6.55 would be due, 5 are left                   |
      | 1    | 100  | 6501  | 0.1   | 0       | the last ten cents                              |
      | 1    | 100  | 6500  | 0     | 0       | nothing is left                                 |
      | 1    | 100  | 6400  | 0     | -10     | what the fund will have to pay, it does not take |

  Scenario Outline: The owner's own trade: <why>
    Given a liquidation fee of 1 %
    And Alice is in liquidation with 120 dollars
    When Alice sells <lots> lots to Bob at 7700
    Then she has paid the fund 0 dollars
    When the mark is made
    Then Alice is <rung>

    Examples:
      | lots | rung        | why                                        |
      | 14   | HEALTHY     | 86 lots need 119.196: she heals herself    |
      | 13   | LIQUIDATING | 87 lots need 120.582                       |
      | 100  | HEALTHY     | all of it, and still nothing to be paid    |
