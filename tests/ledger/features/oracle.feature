Feature: Several feeds agree on a price, and no single one moves it
  BTC is priced by three feeds of equal weight, A, B and C; a feed further than 5 % from the median of the others does not
  count. All began at 8,000. A lot of BTC-PERP is 0.001 BTC: 100 lots are worth 800 dollars, the scan range is 15 %.
  Alice has 1,000 dollars, Bob 5,000.

  Background:
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 5000    |

  Scenario Outline: One feed is pumped, as thin markets were in October 2022 to borrow against: <why>
    Given <needed> feeds must agree
    When the feeds say
      | A   | B   | C   |
      | <A> | <B> | <C> |
    Then the price of BTC is <price>

    Examples:
      | needed | A    | B    | C      | price | why                                                        |
      | 3      | 8010 | 8020 | 8030   | 8020  | nobody is: the middle one                                  |
      | 3      | 8010 | 8020 | 8400   | 8020  | within 5 %, it counts and moves nothing                    |
      | 3      | 8010 | 8020 | 80200  | 8010  | far out it does not count: the price before it spoke stays |
      | 3      | 8010 | 8020 | 2      | 8010  | nor does a crash that one feed saw                         |
      | 3      | 8010 | -    | 80200  | 8000  | the middle of 8,000, 8,000 and 8,010 stays                 |
      | 2      | 8010 | 8020 | 80200  | 8010  | two are enough: the lower of the two                       |
      | 2      | 8010 | 8020 | 2      | 8010  | whichever side it lies on                                  |
      | 2      | 8010 | -    | 80200  | 8000  | the silent one's 8,000 and 8,010: the lower                |
      | 3      | 9000 | 9010 | 9020   | 9010  | the market moved: every feed says so                       |

  Scenario Outline: What Alice may take out against a pumped price: <why>
    Given <needed> feeds must agree
    And these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 100  | 8000  |
    When the feeds say
      | A    | B    | C   |
      | 8000 | 8000 | <C> |
    And the perp's forward is said to be <forward>
    And the mark is made
    Then Alice's equity is <equity> dollars
    And Alice's answer for 800 dollars is <withdrawal>
    And a new trade of BTC-PERP is <trade>

    Examples:
      | needed | C     | forward | equity | withdrawal              | trade       | why                                            |
      | 0      | 11900 | 11900   | 1390   | WITHDRAWAL_BELOW_MARGIN | cleared     | one source is the price: equity is pumped      |
      | 3      | 11900 | 11900   | 1000   | WITHDRAWAL_PRICE_STALE  | STALE_PRICE | the forward is refused, nobody opens risk      |
      | 2      | 11900 | 11900   | 1000   | approved                | cleared     | two feeds carry the price on                   |

  Scenario Outline: What doubt costs: <why>
    Given 3 feeds must agree
    And these trades are cleared
      | buyer | seller | instrument | lots | price |
      | Alice | Bob    | BTC-PERP   | 100  | 8000  |
    When the feeds' quotes reach, in dollars from 8000
      | A   | B   | C   |
      | <A> | <B> | <C> |
    And the mark is made
    Then Alice's maintenance margin is <maintenance> dollars and her initial margin <initial>

    Examples:
      | A  | B  | C    | maintenance | initial | why                                    |
      | 0  | 0  | 0    | 120         | 144     | no doubt: 15 % of 800                  |
      | 80 | 80 | 80   | 128         | 153.6   | 1 % of doubt makes it 16 %             |
      | 0  | 0  | 4000 | 120         | 144     | one feed's doubt is its own            |
      | 0  | 80 | 80   | 128         | 153.6   | two of three doubt: so does the median |

  Scenario Outline: A stablecoin and its peg: <why>
    Given USDC is held to its peg within 2 %, half of it does not count below that
    And Alice has 1000 USDC
    When USDC is worth <dollars>
    And the mark is made
    Then Alice's equity is <equity> dollars
    And Alice's answer for 100 USDC is <withdrawal>

    Examples:
      | dollars | equity | withdrawal          | why                                     |
      | 1.00    | 1980   | approved            | its own haircut is 2 %                  |
      | 0.98    | 1960.4 | approved            | on the bound                            |
      | 0.97    | 1485   | WITHDRAWAL_DEPEGGED | below it: 970 dollars, of which half    |
