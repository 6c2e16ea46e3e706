Feature: Options are exercised in cash at the final settlement price
  A lot is 0.001 BTC, ten lots 0.01; the strike is 8,000. Alice bought 10 lots of Bob at 300, worth 3 dollars.
  Premium style: the 3 dollars were paid. Futures style: they are settled with the payoff.

  Scenario Outline: <instrument> at <price>
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |
    When these trades are cleared
      | buyer | seller | instrument   | lots | price |
      | Alice | Bob    | <instrument> | 10   | 300   |
    And the final settlement price of the expiry is <price>
    And the expiry is marked
    Then the dollars are
      | account | dollars |
      | Alice   | <alice> |
      | Bob     | <bob>   |
    And nobody holds anything

    Examples:
      | instrument | price   | alice   | bob      | why                                   |
      | BTC-C8000  | 9000    | 1007    | 993      | in the money: 10 - 3                  |
      | BTC-C8000  | 8000    | 997     | 1003     | at the money: worth nothing           |
      | BTC-C8000  | 7000    | 997     | 1003     | out of the money                      |
      | BTC-C8000  | 8000.01 | 997.0001 | 1002.9999 | a tick in the money                 |
      | BTC-P8000  | 9000    | 997     | 1003     | out of the money                      |
      | BTC-P8000  | 7000    | 1007    | 993      | in the money: 10 - 3                  |
      | BTC-FC8000 | 9000    | 1007    | 993      | the same in the end                   |
      | BTC-FC8000 | 8000    | 997     | 1003     | the 3 are paid now                    |
