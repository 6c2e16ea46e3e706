Feature: What an account may do on each rung of the health ladder, and what follows from what it does
  A lot of BTC-PERP is 0.001 BTC at 8,000 dollars; its scan risk is 15 %: 1.20 dollars of maintenance margin a lot, 0.12 of
  buffer, 1.44 of initial margin. Alice has 500 dollars: healthy up to 347 lots, called from 379 on.

  Scenario Outline: <rung>: orders that raise risk are refused, orders that reduce it are not
    Given a grace of <grace> marks
    And Alice holds <lots> lots
    When the mark is answered
    Then Alice is <rung>
    And her order to buy 1 lot is <buy>
    And her order to sell 1 lot is accepted
    And her request for 0.01 dollars is <withdrawal>

    Examples:
      | lots | grace | rung        | buy               | withdrawal              |
      | 347  | 0     | HEALTHY     | accepted          | approved                |
      | 348  | 0     | REDUCE_ONLY | ORDER_RAISES_RISK | WITHDRAWAL_BELOW_MARGIN |
      | 378  | 0     | REDUCE_ONLY | ORDER_RAISES_RISK | WITHDRAWAL_BELOW_MARGIN |
      | 379  | 1     | CALLED      | ORDER_RAISES_RISK | WITHDRAWAL_BELOW_MARGIN |
      | 379  | 0     | LIQUIDATING | ORDER_RAISES_RISK | WITHDRAWAL_BELOW_MARGIN |

  Scenario Outline: A trade is a fact on every rung, and the next mark judges what it left: <why>
    Given a grace of <grace> marks
    And Alice holds <lots> lots
    When the mark is answered
    And Alice trades <more> lots
    Then she holds <held> lots
    And she pays no fee
    When the next mark is answered
    Then Alice is <rung>

    Examples: more risk
      | lots | grace | more | held | rung        | why                                           |
      | 347  | 0     | 1    | 348  | REDUCE_ONLY | no longer covered                             |
      | 350  | 0     | 40   | 390  | LIQUIDATING | a venue let it pass: the mark does not        |
      | 350  | 2     | 40   | 390  | CALLED      | with grace it is called first                 |
      | 379  | 1     | 10   | 389  | LIQUIDATING | its grace is not made longer                  |

    Examples: less, by the owner's own trade: no fee, and nothing of it is sold for him
      | lots | grace | more | held | rung        | why                                           |
      | 348  | 0     | -1   | 347  | HEALTHY     | a lot is enough                               |
      | 379  | 1     | -32  | 347  | HEALTHY     | called, and healed within the grace           |
      | 379  | 0     | -32  | 347  | HEALTHY     | in liquidation, and quicker than the bidders  |
      | 379  | 0     | -31  | 348  | LIQUIDATING | liquidation ends at the initial margin only   |

  Scenario: What nobody can pay, to the last step
    Given the fund has 100 dollars
    And Alice holds 347 lots
    And Alice is charged 480 dollars
    When the price falls to 7700
    Then Alice is LIQUIDATING
    When a liquidator takes all of it at 7661.50
    And the next mark is answered
    Then Alice is DEFICIT and owes 97.4595 dollars
    When the next mark is answered
    Then Alice is HEALTHY and owes 0 dollars
    And the fund has 2.5405 dollars left
    When her account is closed
    Then a deposit is refused with ACCOUNT_CLOSED
    And a leg of hers lies in suspense with ACCOUNT_CLOSED

  Scenario: Accounts in liquidation are served by their number: it decides who is promised the fund's money
    Given accounts 18 and 20, long 100 lots each with 200 dollars
    And the fund has 100 dollars
    When the price falls to 5000
    Then these are answered
      | account | how                                      | why                                  |
      | 18      | auctioned                                | 100 under water: the fund carries it |
      | 20      | deleveraged at its bankruptcy price 6000 | nothing is left to promise           |
