Feature: What an account in liquidation sells by itself is not sold for it again

  Account 16 is long 900 BTC-PERP, its equity is gone and all of it is on auction. It trades by itself before anybody
  bids. A bidder then bids for whatever was on auction. With OWN_TRADES_CLIP the auction yields to the owner at once.

  Scenario Outline: <what>
    Given OWN_TRADES_CLIP is <set> over <shards> shards, and all of the account is on auction
    When it trades <trades> by itself
    Then <left> lots are on auction
    When a bidder bids for 900
    Then the bidder has bought <bought>, and the account holds <holds>

    Examples:
      | set | shards | trades              | left | bought | holds | what                                             |
      | 1   | 1      | nothing             | 900  | 900    | 0     | nothing is taken off                             |
      | 1   | 1      | -300                | 600  | 600    | 0     | what it sells comes off                          |
      | 1   | 4      | -300                | 600  | 600    | 0     | over four shards too                             |
      | 1   | 4      | -300, -200          | 400  | 400    | 0     | sale after sale                                  |
      | 1   | 4      | -899                | 1    | 1      | 0     | to the last lot                                  |
      | 1   | 4      | -900                | 0    | 0      | 0     | all of it: the auction is over                   |
      | 1   | 4      | -950                | 0    | 0      | -50   | and more than all of it                          |
      | 1   | 4      | 100                 | 900  | 900    | 100   | what it buys is not put on                       |
      | 1   | 4      | 100, -100           | 900  | 900    | 0     | buying and selling the same takes nothing off    |
      | 1   | 4      | -100, 100           | 800  | 800    | 100   | what came off is planned for anew by a mark      |
      | 0   | 4      | -300                | 900  | 900    | -300  | without the rule the account ends on the other side |
      | 0   | 4      | -900                | 900  | 900    | -900  | and with as much as it had                       |

  Scenario Outline: an owner cannot hold its auction up by selling a lot at a time
    Given OWN_TRADES_CLIP is <set> over 4 shards, and all of the account is on auction
    When it sells a lot after each of 6 marks
    Then its auction has come to a discount of <discount> basis points

    Examples:
      | set | discount |
      | 1   | 350      |
      | 0   | 50       |
