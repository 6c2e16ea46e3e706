Feature: Bids answered together pay the worst price among those served
  With AUCTION_CLEARING an auction takes bids down to that discount at once. What bidders offer beyond it goes to the
  failing account: all who are served pay one price, the worst of theirs, so nobody gains by offering less than he would.

  Scenario: What is sold
    Given a call auction of 10 lots at a mark of 10000 that takes bids down to 9000
    Then each of these sets of bids has its price
      | bids                                | price | why                                                        |
      | 10 at 9950                          | 9950  | one bidder pays what he offered, not the 9000 he might have |
      | 6 at 9950, 4 at 9900                | 9900  | the worst of the two                                       |
      | 10 at 9950, 10 at 9900              | 9950  | the second was not needed                                  |
      | 4 at 9950, 3 at 9990                | 9950  | three lots stay for sale, those served pay one price       |
      | 8 at 9950, 10 at 9200               | 9200  | two lots could be had no better, the rest falls with them  |
      | 10 at 8999                          | 9000  | nobody served: too low                                     |
      | none                                | 9000  | nobody there                                               |
      | 10 at 12000                         | 10000 | never better than the mark: no equity is handed over       |

  Scenario: What is bought back
    Given a call auction of -10 lots at a mark of 10000 that takes bids down to 11000
    Then each of these sets of bids has its price
      | bids                                | price | why                                                        |
      | 10 at 10050                         | 10050 | one bidder sells at what he asked                          |
      | 6 at 10050, 4 at 10100              | 10100 | the worst of the two                                       |
      | 10 at 11001                         | 11000 | nobody served: too high                                    |
      | 10 at 8000                          | 10000 | never better than the mark                                 |
