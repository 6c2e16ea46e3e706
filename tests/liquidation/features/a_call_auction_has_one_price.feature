Feature: Bids answered together pay the worst price among those served
  With AUCTION_CLEARING an auction takes bids down to that discount at once. What bidders offer beyond it goes to the
  failing account: all who are served pay one price, the worst of theirs, so nobody gains by offering less than he would.
  Served are as many, best first, as bring the account most beyond the lowest price: nobody spoils the price for little.

  Scenario: What is sold
    Given a call auction of 10 lots at a mark of 10000 that takes bids down to 9000
    Then each of these sets of bids has its price
      | bids                 | sold | price | why                                                              |
      | 10 at 9950           | 10   | 9950  | one bidder pays what he offered, not the 9000 he might have      |
      | 6 at 9950, 4 at 9900 | 10   | 9900  | the worst of the two                                             |
      | 10 at 9950, 10 at 9900 | 10 | 9950  | the second was not needed                                        |
      | 4 at 9950, 3 at 9990 | 7    | 9950  | three lots stay for sale, those served pay one price             |
      | 8 at 9950, 2 at 9800 | 10   | 9800  | two lots more: 10 x 800 is more than 8 x 950                     |
      | 8 at 9950, 2 at 9200 | 8    | 9950  | they would spoil it: 10 x 200 is less than 8 x 950               |
      | 9 at 9950, 1 at 9000 | 9    | 9950  | a lot at the lowest price does not take the eight others with it |
      | 9 at 9000, 1 at 9000 | 10   | 9000  | nobody offers more: all that can be sold is                      |
      | 10 at 8999           | 0    | 9000  | nobody served: too low                                           |
      | none                 | 0    | 9000  | nobody there                                                     |
      | 10 at 12000          | 10   | 10000 | never better than the mark: no equity is handed over             |

  Scenario: What is bought back
    Given a call auction of -10 lots at a mark of 10000 that takes bids down to 11000
    Then each of these sets of bids has its price
      | bids                   | sold | price | why                                |
      | 10 at 10050            | 10   | 10050 | one bidder sells at what he asked  |
      | 6 at 10050, 4 at 10100 | 10   | 10100 | the worst of the two               |
      | 9 at 10050, 1 at 11000 | 9    | 10050 | and here too nobody spoils it      |
      | 10 at 11001            | 0    | 11000 | nobody served: too high            |
      | 10 at 8000             | 10   | 10000 | never better than the mark         |
