Feature: While somebody owes what nobody has paid, nothing leaves, and no more than a part of an asset leaves in a day
  Alice has 1,000 dollars and nothing else, Bob 5,000, Carol 200. A lot of BTC-PERP is 0.001 BTC at 8,000.
  Where withdrawals may be held or are limited, what an account can carry waits until all shards have said what is owed.

  Scenario Outline: Held until nobody is in deficit: <why>
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 5000    |
      | Carol   | 200     |
    And withdrawals are <hold> in deficit
    And the fund has <fund> dollars
    And <what happened>
    When Alice asks for 800 dollars
    And the mark is answered
    Then Alice's answer is <answer>
    When the next mark is answered
    Then Alice's answer is <next>

    Examples: nobody, and without the rule
      | hold     | fund | what happened           | answer   | next     | why                                           |
      | held     | 0    | nothing happened        | approved | approved | nobody owes anything                          |
      | not held | 0    | Carol is to pay 240     | approved | approved | the rule is off: Alice is before Carol's loss |

    Examples: an account's deficit
      | hold     | fund | what happened           | answer   | next     | why                                           |
      | held     | 0    | Carol is to pay 240     | held     | held     | 40 are owed, and the fund is empty            |
      | held     | 39   | Carol is to pay 240     | held     | held     | one dollar stays owed                         |
      | held     | 40   | Carol is to pay 240     | held     | approved | the fund pays, the next mark finds nothing    |
      | held     | 0    | Carol is to pay 200     | approved | approved | she has it to the cent                        |
      | held     | 0    | Carol's long fell       | held     | approved | 100 under water, deleveraged at once          |

    Examples: the clearinghouse's own
      | hold     | fund | what happened           | answer   | next     | why                                           |
      | held     | 0    | 5 were rebated          | held     | held     | fees, fund and own capital together are -5    |
      | held     | 5    | 5 were rebated          | approved | approved | the fund makes up for it                      |

  Scenario: A deficit that comes while somebody waits for the day's allowance holds him too
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
      | Bob     | 5000    |
      | Carol   | 200     |
    And withdrawals are held in deficit
    And 10 % of the dollars may leave in a day
    When these ask
      | account | asks |
      | Alice   | 400  |
      | Bob     | 300  |
    Then the mark answers
      | account | asks | answer   | why                                     |
      | Alice   | 400  | approved | 620 may leave today                     |
      | Bob     | 300  | waits    | 220 are left                            |
    Given Carol is to pay 240
    When a day has passed
    Then the mark answers
      | account | asks | answer   | why                                     |
      | Bob     | 300  | waits    | the day is new, and Carol owes 40       |

  Scenario: What a day lets leave is shared by who came first, then by account number
    Given accounts with dollars
      | account | dollars |
      | Alice   | 3000    |
      | Bob     | 4000    |
      | Carol   | 2000    |
      | Dan     | 1000    |
    And 10 % of the dollars may leave in a day
    When these ask
      | account | asks |
      | Dan     | 200  |
      | Carol   | 1001 |
      | Bob     | 500  |
      | Alice   | 600  |
    Then the mark answers
      | account | asks | answer          | why                                              |
      | Alice   | 600  | approved        | of 10,000 a tenth may leave: 1,000               |
      | Bob     | 500  | waits           | 400 are left                                     |
      | Carol   | 1001 | WITHDRAWAL_RATE | more than a whole day's: it would wait for ever  |
      | Dan     | 200  | approved        | it fits: 200 are left                            |
    When these ask
      | account | asks |
      | Alice   | 500  |
      | Carol   | 200  |
    Then the mark answers
      | account | asks | answer          | why                                              |
      | Alice   | 500  | waits           | 200 are left                                     |
      | Bob     | 500  | waits           | still                                            |
      | Carol   | 200  | approved        | the day's last                                   |
    When a day has passed
    Then the mark answers
      | account | asks | answer          | why                                              |
      | Bob     | 500  | approved        | 9,000 are left, 900 may leave; he came first     |
      | Alice   | 500  | waits           | 400 are left, though her number is lower         |

  Scenario Outline: What an account cannot carry by itself is refused at once, by the same name as ever: <why>
    Given accounts with dollars
      | account | dollars |
      | Alice   | 500     |
      | Bob     | 5000    |
    And withdrawals are held in deficit
    And 100 % of the dollars may leave in a day
    And Alice bought <lots> lots of BTC-PERP of Bob at <price>
    When Alice asks for <amount> dollars
    And the mark is answered
    Then Alice's answer is <answer>

    Examples:
      | lots | price | amount     | answer                  | why                                      |
      | 100  | 8000  | 356        | approved                | 144 of initial margin stay               |
      | 100  | 7000  | 356        | approved                | a gain of 100 is not there to take       |
      | 100  | 7000  | 356.000001 | WITHDRAWAL_BELOW_MARGIN | not even a millionth of it               |
      | 400  | 8000  | 1          | WITHDRAWAL_BELOW_MARGIN | not healthy: 576 are needed              |
      | 1    | 8000  | 500.000001 | WITHDRAWAL_UNCOVERED    | there is no more                         |

  Scenario: A request that is answered meanwhile, by nobody or for another mark, moves nothing
    Given accounts with dollars
      | account | dollars |
      | Alice   | 1000    |
    And 10 % of the dollars may leave in a day
    When Alice asks for 100 dollars
    Then the desk's word on it is refused
      | mark  | reason             | why                                          |
      | last  | WITHDRAWAL_NOT_DUE | that mark has been answered                  |
      | next  | WITHDRAWAL_NOT_DUE | nobody knows yet what it will find           |
    And Alice has 1000 dollars
