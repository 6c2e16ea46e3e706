Feature: A portfolio that must be sold whole goes to the lowest sealed bid, then to backstops, then leg by leg
  Account 16 is long 900 lots of BTC-PERP (0.001 BTC a lot) and 300 lots of ETH-PERP (0.01 ETH a lot). The market falls
  until its equity is gone, so that no part of its book can save the rest. A portfolio is on offer for two marks, at most
  5 % off the mark. Bidders 19 to 22 may bid; a bid is a discount off each leg's mark, basis points.

  Scenario Outline: The lowest discount wins, the lowest number among equals
    Given bids <bids>
    When the offer closes
    Then bidder <winner> holds 900 BTC-PERP and 300 ETH-PERP, bought <discount> basis points below the mark
    And account 16 holds nothing
    And nothing is reserved for anybody

    Examples:
      | bids                                  | winner | discount | why                                     |
      | 19: 300, 20: 250, 21: 400             | 20     | 250      | asks for least                          |
      | 19: 300, 20: 250, 21: 250             | 20     | 250      | the same, but the lower number          |
      | 21: 250, 20: 250                      | 21     | 250      | it is the bid's number, not the bidder's |
      | 19: 500                               | 19     | 500      | alone, at the reserve                   |
      | 19: 0, 20: 1                          | 19     | 0        | nothing off is a bid too                |

  Scenario Outline: What is no bid is refused by name
    When bidder <bidder> bids <discount> on auction <auction> <when>
    Then it is refused as <reason>
    And nothing is reserved for anybody

    Examples:
      | bidder | discount | auction | when              | reason               |
      | 99     | 100      | 1       | while it is open  | UNKNOWN_ACCOUNT      |
      | 17     | 100      | 1       | while it is open  | BIDDER_NOT_ALLOWED   |
      | 19     | 100      | 7       | while it is open  | UNKNOWN_AUCTION      |
      | 19     | 501      | 1       | while it is open  | BID_ABOVE_RESERVE    |
      | 19     | -1       | 1       | while it is open  | BID_ABOVE_RESERVE    |
      | 23     | 100      | 1       | while it is open  | BIDDER_BELOW_MARGIN  |
      | 19     | 100      | 1       | once it is closed | UNKNOWN_AUCTION      |

  Scenario: One bid for a portfolio is all a bidder may have
    Given bids 19: 300
    When bidder 19 bids 200 on auction 1 while it is open
    Then it is refused as ONE_BID_A_PORTFOLIO

  Scenario: A portfolio on offer is not sold elsewhere
    When the desk also plans to sell its BTC-PERP leg by leg
    Then it is refused as PORTFOLIO_ON_OFFER

  Scenario: Nobody bids, nobody stands behind: leg by leg
    When the offer closes
    Then the portfolio is closed as NO_BID
    And Dutch auctions of 900 BTC-PERP and 300 ETH-PERP are open

  Scenario Outline: Nobody bids: the backstops take it pro rata of their room
    Given backstops <backstops>
    When the offer closes
    Then the portfolio is closed as BACKSTOPPED
    And the backstops hold <held>
    And account 16 holds <left>

    Examples:
      | backstops              | held                              | left           | why                                       |
      | 19: 40000              | 19: 900 + 300                     | 0 + 0          | room for all of it                        |
      | 19: 3000, 20: 1000     | 19: 675 + 225, 20: 225 + 75       | 0 + 0          | three to one                              |
      | 19: 2000, 20: 2000, 21: 2000 | 19: 300 + 100, 20: 300 + 100, 21: 300 + 100 | 0 + 0 | alike                           |
      | 19: 500, 20: 0         | 19: 396 + 132                     | 504 + 168      | 500 of the 1,135.8 dollars that it requires |
      | 23: 4000, 19: 4000     | 19: 900 + 300                     | 0 + 0          | who has no equity for it is passed over   |

  Scenario: A bid comes before the backstops
    Given backstops 19: 40000
    And bids 20: 500
    When the offer closes
    Then bidder 20 holds 900 BTC-PERP and 300 ETH-PERP, bought 500 basis points below the mark

  Scenario: An account that heals keeps its portfolio
    Given bids 19: 300
    When the market recovers
    Then the portfolio is closed as HEALED
    And account 16 holds 900 + 300
    And nothing is reserved for anybody

  Scenario: An account that sold a leg by itself has another portfolio
    Given bids 19: 300
    And account 16 sells 100 BTC-PERP by itself
    When the next mark comes
    Then the portfolio is closed as CLIPPED
    And nothing is reserved for anybody
    And a portfolio of 800 BTC-PERP and 300 ETH-PERP is on offer

  Scenario: A bidder that can no longer cover its bid loses it
    Given bids 24: 100, 19: 300
    And bidder 24 loses what it has
    When the offer closes
    Then bidder 19 holds 900 BTC-PERP and 300 ETH-PERP, bought 300 basis points below the mark

  Scenario: Where the fund cannot carry the loss nobody waits for bids
    Given bids 19: 300
    When the market falls further than the fund can carry
    Then the portfolio is closed as DELEVERAGED
    And nothing is reserved for anybody
