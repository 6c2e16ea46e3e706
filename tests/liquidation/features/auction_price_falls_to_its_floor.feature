Feature: An auction's price falls with each mark, to a floor, and never pays a liquidator more than stated
  Prices in ticks. The discount starts at 0.50 %, grows by 0.25 % at each mark and ends at 1.25 %.

  Scenario: The schedule of a sale and of a purchase
    Given an auction from 50 by 25 to 125 basis points
    Then these are its prices
      | leg      | mark  | marks | price | why                                        |
      | sale     | 10000 | 0     | 9950  | 0.50 % below the mark                      |
      | sale     | 10000 | 1     | 9925  | one step later                             |
      | sale     | 10000 | 3     | 9875  | at the floor                               |
      | sale     | 10000 | 9     | 9875  | and no lower                               |
      | sale     | 8000  | 3     | 7900  | off the mark of now, not of the opening    |
      | purchase | 10000 | 0     | 10050 | 0.50 % above the mark                      |
      | purchase | 10000 | 9     | 10125 | at the floor                               |
      | sale     | 101   | 0     | 101   | 100.495 rounded up: less than 0.50 % is paid |
      | purchase | 101   | 0     | 101   | 101.505 rounded down                       |
      | sale     | 1     | 3     | 1     | never below a tick                         |
      | purchase | 0     | 3     | 1     | nor where the mark is nothing              |

  Scenario: Bids are served by price, then by number, and all pay the auction's price
    Given 10 lots for sale at 9925
    When these bids are awarded
      | bid | bidder | lots | price |
      | 4   | 103    | 5    | 9930  |
      | 1   | 101    | 4    | 9925  |
      | 2   | 102    | 9    | 9930  |
      | 3   | 104    | 3    | 9924  |
    Then the awards are
      | bid | lots | why                                     |
      | 2   | 9    | the best price, the lower number        |
      | 4   | 1    | the best price; one lot is left         |
      | 1   | 0    | nothing left: its reservation ends      |
      | 3   | 0    | below the auction's price in any case   |
