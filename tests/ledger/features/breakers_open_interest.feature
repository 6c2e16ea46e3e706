Feature: Open interest is held to what the fund can carry, and is let go with hysteresis
  A lot of BTC-PERP is 0.001 BTC, so at 8,000 dollars it is 8 dollars of open interest. The limit of an underlying is the
  fund's value x the share of it that may be lost / the part of the open interest that a stress leaves to the fund. What
  tripped is let go below 90 % of its limit.

  Scenario Outline: The limit: <why>
    Given a fund of <fund> dollars, of which <share> % may be lost to a stress of <stress> %
    When Alice buys <lots> lots of the perp from Bob
    And a mark is made
    Then open interest is <interest> dollars of <limit>
    And new risk in BTC is <state>

    Examples:
      | fund  | share | stress | lots | interest | limit | state   | why                                                |
      | 1000  | 100   | 10     | 1000 | 8000     | 10000 | let in  | ten dollars open for one that the fund can lose    |
      | 1000  | 100   | 10     | 1250 | 10000    | 10000 | let in  | at the limit                                       |
      | 1000  | 100   | 10     | 1251 | 10008    | 10000 | stopped | one lot above it                                   |
      | 1000  | 50    | 10     | 1000 | 8000     | 5000  | stopped | half of the fund is kept for others                |
      | 1000  | 100   | 20     | 1000 | 8000     | 5000  | stopped | a stress that leaves more to the fund              |
      | 1000  | 100   | 100    | 1000 | 8000     | 1000  | stopped | a total loss                                       |
      | 0     | 100   | 10     | 0    | 0        | 0     | let in  | nothing is open, and nothing could be lost         |
      | 0     | 100   | 10     | 1    | 8        | 0     | stopped | an empty fund carries nothing                      |
      | 10000 | 100   | 0      | 9999 | -        | -     | let in  | without a stress there is no limit                 |

  Scenario: What a stopped underlying lets through
    Given a fund of 1000 dollars, of which 100 % may be lost to a stress of 10 %
    And Alice buys 2000 lots of the perp from Bob
    And Alice has an order to buy 10 lots of the perp, and one to sell 10
    When a mark is made
    Then Alice's order to buy is closed and the one to sell is not
    And these are answered
      | what                                 | answer          | why                                                  |
      | Alice orders to buy 1 of the perp    | BREAKER_TRIPPED | it could raise her risk                              |
      | Alice orders to sell 1 of the perp   | taken           | it lowers it                                         |
      | Alice orders to sell 3000 of the perp | BREAKER_TRIPPED | she would be short                                   |
      | Alice orders to buy 1 of ETH         | taken           | another underlying                                   |
      | Alice orders to buy 1 of coins       | taken           | spot leaves nothing open                             |
      | Alice buys 1 of the perp from Carol  | BREAKER_TRIPPED | a trade is a fact: both legs lie in SUSPENSE         |
      | Bob buys 1 of the perp from Alice    | taken           | both reduce                                          |
      | Bob buys 1 of the perp from Carol    | BREAKER_TRIPPED | Bob's leg stands, Carol's would open: it lies in SUSPENSE |
    And the council's status of the perp is OPEN

  Scenario: A course of marks
    Given a fund of 1000 dollars, of which 100 % may be lost to a stress of 10 %
    When this happens before each mark
      | what                        | interest | limit | state   | why                                                     |
      | Alice buys 1250 from Bob    | 10000    | 10000 | let in  | at the limit                                            |
      | Dave leaves a debt of 200   | 10000    | 10000 | let in  | the fund pays after this mark                           |
      | nothing                     | 10000    | 8000  | stopped | the fund fell                                           |
      | Bob buys 124 from Alice     | 9008     | 8000  | stopped | less is open, not enough                                |
      | Bob buys 126 from Alice     | 8000     | 8000  | stopped | at the limit what tripped stays so                      |
      | Bob buys 100 from Alice     | 7200     | 8000  | stopped | at 90 % of it                                           |
      | Bob buys 1 from Alice       | 7192     | 8000  | let in  | below                                                   |
      | Alice buys 100 from Bob     | 7992     | 8000  | let in  | between the two it stays as it was                      |
      | Bob buys 1 from Alice       | 7984     | 8000  | let in  | to and fro around a limit it does not flutter           |
      | Alice buys 4 from Bob       | 8016     | 8000  | stopped | above: it trips again                                   |
      | Bob buys 4 from Alice       | 7984     | 8000  | stopped | and stays                                               |
      | a backer brings 200         | 7984     | 10000 | let in  | the fund grew: below 90 % of what it can carry now      |
      | the stress is switched off  | -        | -     | let in  | no limit                                                |
