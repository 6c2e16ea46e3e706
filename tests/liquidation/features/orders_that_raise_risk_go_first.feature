Feature: Orders that could raise the risk of a failing account are ended before its positions are touched
  Accounts under the SPAN-shaped profile, on the books. A lot of the BTC perp is a thousandth of a bitcoin, which costs
  8,000 dollars and then 7,400. Initial margin of a lot is 1.44 dollars at first, and 1.33 then. Sales are costed at 1 %.

  Scenario Outline: What rests, what is ended, what is planned
    Given an account with <dollars> dollars that is long 1000 lots
    And it has orders <orders>
    When bitcoin falls to 7400
    Then orders <ended> are ended as raising risk
    And it is planned to sell <sold>, as if it had never had an order
    And orders <stay> stay

    Examples:
      | dollars | orders                 | ended     | sold | stay | why                                                 |
      | 1640    | none                   | none      | 250  | none | 1,040 of equity against 1,332: a quarter heals      |
      | 1640    | buy 5000               | buy 5000  | 250  | none | more of the same                                    |
      | 1640    | buy 1, sell 400        | buy 1     | 250  | sell 400 | an order that only reduces may stay             |
      | 1640    | sell 1001              | sell 1001 | 250  | none | it could turn the position round                    |
      | 1640    | buy 900, sell 2000     | buy 900, sell 2000 | 250 | none | both                                        |
      | 1960    | buy 9000               | none      | 0    | buy 9000 | orders count in the initial margin alone: no breach |
