Feature: The desk answers what the shards say, and what nobody carries is deleveraged at the bankruptcy price
  One perpetual marked at 10000 ticks, a tick is a cent a lot, so a lot is worth 100 dollars; margin is 10 dollars a lot.
  Auctions start 0.50 % below the mark, fall by 0.50 % a mark, to 1.00 %.

  Scenario: A short fall of margin is auctioned in part, and healed auctions are forgotten
    Given account 101 is long 40 with equity 395
    When mark 1 is answered
    Then the desk says
      | event              | account | quantity | price |
      | LiquidationPlanned | 101     | -10      |       |
    When the auction is opened and bids 201: 6 at 9950, 202: 6 at 9960, 203: 6 at 9949 are reserved
    Then the desk says
      | event   | account | bidder | quantity | price |
      | Awarded | 101     | 202    | 6        | 9950  |
      | Awarded | 101     | 201    | 4        | 9950  |
      | Awarded | 101     | 203    | 0        | 9950  |

  Scenario: What stays unsold at the floor is deleveraged after two marks there
    Given account 101 is long 40 with equity 395
    When mark 1 is answered
    And the auction is opened and nobody bids
    And marks 2 and 3 find the same
    Then the desk says nothing
    When mark 4 finds the same
    Then the desk says
      | event              | account | quantity | price | why                                             |
      | AuctionEnded       | 101     |          |       |                                                 |
      | DeleveragingCalled | 101     | -10      | 9013  | 395 of 4000 is 9.875 %: 9012.5, rounded for it  |

  Scenario: A gap through bankruptcy that the fund can carry is auctioned
    Given account 101 is long 40 with equity -100
    And the fund holds 100
    When mark 1 is answered
    Then the desk says
      | event              | account | quantity | price |
      | LiquidationPlanned | 101     | -40      |       |

  Scenario: The part of a gap that the fund cannot carry is deleveraged at the bankruptcy price
    Given account 101 is long 40 with equity -100
    And the fund holds 75
    When mark 1 is answered
    Then the desk says
      | event              | account | quantity | price | why                                       |
      | DeleveragingCalled | 101     | -10      | 10250 | 25 of 100 is a quarter; 2.5 % over mark   |
      | LiquidationPlanned | 101     | -30      |       | the rest, whose loss the fund carries     |
    When the call names the shorts 301: 4 ranked 7, 302: 30 ranked 5, 303: 8 ranked 9
    Then the desk says
      | event       | account | counterparty | quantity | price |
      | Deleveraged | 101     | 303          | 8        | 10250 |
      | Deleveraged | 101     | 301          | 2        | 10250 |

  Scenario: What is found owing is the fund's first, and only what is left of it is promised
    Given account 100 owes 60
    And account 101 is long 40 with equity -100
    And the fund holds 85
    When mark 1 is answered
    Then the desk says
      | event              | account | quantity | price |
      | DeleveragingCalled | 101     | -30      | 10250 |
      | LiquidationPlanned | 101     | -10      |       |
