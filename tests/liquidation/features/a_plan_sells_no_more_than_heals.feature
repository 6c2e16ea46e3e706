Feature: A plan sells what frees most margin for its cost, and no more than heals the account
  Dollars. A lot of BTC or ETH is worth 100; ALT 100; each loses 10, 10 and 40 in the stress that decides its margin, a
  long when prices fall and a short when they rise. Margin is 1.2 x the largest loss. Sales cost 1 % of what is sold.

  Scenario Outline: What is planned
    Given an account with equity <equity>
    And it holds <btc> BTC, <eth> ETH and <alt> ALT
    When its liquidation is planned
    Then it sells <sales>

    Examples: as little as heals, the most margin per cost first
      | equity | btc | eth | alt | sales      | why                                                        |
      | 960    | 80  | 0   | 0   | nothing    | its margin of 960 is covered                               |
      | 959    | 80  | 0   | 0   | BTC -20    | a quarter is enough                                        |
      | 480    | 80  | 0   | 0   | BTC -60    | half would leave 440 against 480: its cost counts too      |
      | 959    | 40  | 0   | 10  | nothing    | its margin is 960 - 1 ... covered: 480 + 480 is too much   |

    Examples: hedges
      | equity | btc | eth | alt | sales      | why                                                        |
      | 0      | 40  | -40 | 0   | nothing    | the legs offset: nothing is required of them               |
      | 470    | 40  | -40 | 10  | ALT -3     | the unhedged leg is sold, the hedge stays                  |
