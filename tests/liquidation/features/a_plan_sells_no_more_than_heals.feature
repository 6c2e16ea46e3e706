Feature: A plan sells what frees most margin for its cost, and no more than heals the account
  Dollars. A lot of BTC, ETH or ALT is worth 100. Two stresses decide the margin: everything falls, or everything rises,
  BTC and ETH by 10 a lot, ALT by 40. The initial margin is 1.2 x the larger loss. A sale costs 1 % of what is sold; a
  holding is sold in quarters.

  Scenario Outline: What is planned
    Given an account with equity <equity>
    And it holds <btc> BTC, <eth> ETH and <alt> ALT
    When its liquidation is planned
    Then it sells <sales>

    Examples: as little as heals, the most margin per cost first
      | equity | btc | eth | alt | sales            | why                                                  |
      | 960    | 80  | 0   | 0   | nothing          | its margin of 960 is covered                         |
      | 959    | 80  | 0   | 0   | BTC -20          | a quarter is enough: 939 against 720                 |
      | 960    | -80 | 0   | 0   | nothing          | a short needs the same                               |
      | 959    | -80 | 0   | 0   | BTC 20           | and is bought back                                   |
      | 500    | 80  | 0   | 0   | BTC -60          | half leaves 460 against 480: its cost counts         |
      | 900    | 40  | 0   | 10  | ALT -3           | ALT frees 48 a dollar, BTC 12                        |
      | 300    | 40  | 0   | 10  | BTC -20, ALT -10 | ALT first, all of it, then half of BTC               |
      | 500    | 40  | 40  | 0   | BTC -40, ETH -10 | alike: the lower instrument first                    |
      | -1     | 80  | 0   | 1   | BTC -80, ALT -1  | nothing can heal it: everything goes                 |

    Examples: a hedge is broken only where that lowers the margin
      | equity | btc | eth | alt | sales            | why                                                  |
      | 0      | 40  | -40 | 0   | nothing          | the legs offset, nothing is required                 |
      | 470    | 40  | -40 | 10  | ALT -3           | the naked leg is sold, the hedge stays               |
      | 200    | 80  | -40 | 0   | BTC -40          | only what is not hedged                              |
