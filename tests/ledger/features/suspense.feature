Feature: A trade is a fact: a leg that its account cannot take lies in suspense with a reason, and the other leg stands
  Alice buys 5 lots of Bob at 8,000.

  Scenario Outline: <why>
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 1000    |
    And <state>
    When these trades are cleared
      | buyer | seller | instrument   | lots | price |
      | Alice | Bob    | <instrument> | 5    | 8000  |
    Then these legs are posted
      | side   | account | lots | reason   |
      | buyer  | <buyer> | 5    | <reason> |
      | seller | Bob     | -5   | NONE     |
    And the clearinghouse has 0 dollars and owns nothing

    Examples:
      | state                         | instrument | buyer    | reason                 | why                                    |
      | nothing is amiss              | BTC-PERP   | Alice    | NONE                   | both legs are taken                    |
      | Alice's account is closed     | BTC-PERP   | SUSPENSE | ACCOUNT_CLOSED         | a closed account takes no leg          |
      | Alice's account is frozen     | BTC-PERP   | Alice    | NONE                   | a frozen one takes what was traded     |
      | Bob holds what may be reduced | BTC-PERP   | SUSPENSE | INSTRUMENT_REDUCE_ONLY | Bob reduces, Alice would open          |
