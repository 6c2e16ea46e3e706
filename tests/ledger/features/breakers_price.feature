Feature: A price that moved too far between two marks lets no new risk in for a while, and delays no margin call
  BTC may move 10 % between two marks; further, and no new risk is let in for three marks.

  Scenario Outline: One move: <why>
    Given BTC may move <most> % between two marks, and is held for <marks> marks after
    When BTC goes from 8000 to <price>
    Then new risk in BTC is <state>

    Examples:
      | most | marks | price | state   | why                                 |
      | 10   | 3     | 8800  | let in  | 10 %, no more                       |
      | 10   | 3     | 8801  | stopped | more                                |
      | 10   | 3     | 7200  | let in  | down 10 %                           |
      | 10   | 3     | 7199  | stopped | more                                |
      | 0    | 3     | 5000  | let in  | off                                 |
      | 10   | 0     | 5000  | let in  | held for no mark: off               |

  Scenario: A course of marks
    Given BTC may move 10 % between two marks, and is held for 3 marks after
    When these prices are marked
      | price | state   | why                                            |
      | 8000  | let in  | as it was                                      |
      | 7000  | stopped | down 12.5 %: the first mark                    |
      | 7000  | stopped | the second                                     |
      | 7000  | stopped | the third                                      |
      | 7000  | let in  | over                                           |
      | 6000  | stopped | down 14 %                                      |
      | 6000  | stopped |                                                |
      | 6900  | stopped | up 15 %: three marks from here                 |
      | 6900  | stopped |                                                |
      | 6900  | stopped |                                                |
      | 6900  | let in  | over                                           |
      | 6300  | let in  | down 8.7 %, and not added to what was before   |

  Scenario: The mark that trips it calls, and liquidates, whom it has to
    Given BTC may move 10 % between two marks, and is held for 3 marks after
    And Alice has 1400 dollars and 1000 lots of the perp
    When BTC goes from 8000 to 7000
    Then new risk in BTC is stopped
    And Alice is in liquidation at that very mark, and her auction sells to a liquidator who holds nothing
