Feature: A liquidated account ends where its plan promised, unless the price gapped
  Alice is long 1,000 lots of bitcoin from 8,000 with 1,500 dollars. The plan counts on a sale one mark after the
  opening, at 1 % below the mark, sells no lot more than that (PLAN_METHOD 1), and promises the initial margin of what
  it leaves. A bid that comes a mark later costs a step of the auction on what is sold. Below that she ends only where
  the price itself moved.

  Scenario Outline: what comes of the promise
    Given bitcoin falls to <falls> and Alice is in liquidation
    When after <marks> marks at <then> a bidder takes the auction
    Then she ends <ends> her target, short by at most <short> basis points of what was sold

    Examples:
      | falls | marks | then | ends         | short | why                                              |
      | 7000  | 0     | 7000 | at or above  | 0     | at once, at half a per cent                      |
      | 7000  | 1     | 7000 | at or above  | 0     | as the plan counted on                           |
      | 7000  | 2     | 7000 | below        | 50    | a mark later: a step of the auction, no more     |
      | 7000  | 1     | 7100 | at or above  | 0     | the price came back a little                     |
      | 7000  | 1     | 6900 | below        | 9999  | the price gapped by 1.4 %                        |
      | 6800  | 1     | 6800 | at or above  | 0     | nearer to bankruptcy: more is sold, same promise |
      | 6650  | 1     | 6650 | at or above  | 0     | and nearer still                                 |
