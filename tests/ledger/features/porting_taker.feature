Feature: A member that does not carry itself takes no client over

  Porting must not move risk to a weak member. With PORTING_MARGIN every house account of the receiving member is checked
  by the shard that keeps it: it must be HEALTHY at the mark and stand above its initial margin now. What its own clients
  stand at does not matter: they carry themselves, and so does who is taken over.

  Scenario Outline: <what> over <shards> shards
    Given PORTING_MARGIN is <set> over <shards> shards, and member 1 is in default
    And of member 2 <state>
    When member 2 accepts <whom>
    Then the answer is <answer>

    Examples: an individual client
      | set | shards | state                                                    | whom                 | answer                              | what                           |
      | 1   | 1      | every account stands above its initial margin            | an individual client | ported                              | a sound member takes it        |
      | 1   | 4      | every account stands above its initial margin            | an individual client | ported                              | a sound member takes it        |
      | 0   | 1      | a house account is in liquidation                        | an individual client | ported                              | without the rule nobody asks   |
      | 1   | 1      | a house account is below its initial margin              | an individual client | refused: PORTING_TAKER_BELOW_MARGIN | reduce-only is not enough      |
      | 1   | 4      | a house account is below its initial margin              | an individual client | refused: PORTING_TAKER_BELOW_MARGIN | reduce-only is not enough      |
      | 1   | 4      | a house account is in liquidation                        | an individual client | refused: PORTING_TAKER_BELOW_MARGIN | it is failing itself           |
      | 1   | 4      | a house account has fallen below it since the mark       | an individual client | refused: PORTING_TAKER_BELOW_MARGIN | the books count, not the mark  |
      | 1   | 4      | one of two house accounts is below its initial margin    | an individual client | refused: PORTING_TAKER_BELOW_MARGIN | each of them must stand        |
      | 1   | 4      | a client is below its initial margin                     | an individual client | ported                              | its clients carry themselves   |
      | 1   | 4      | there is no house account                                | an individual client | ported                              | nothing of its own can be weak |

    Examples: an omnibus
      | set | shards | state                                                    | whom                 | answer                              | what                           |
      | 1   | 4      | every account stands above its initial margin            | an omnibus of two    | ported                              | it goes whole                  |
      | 1   | 4      | a house account is below its initial margin              | an omnibus of two    | refused: PORTING_TAKER_BELOW_MARGIN | it stays whole                 |

  Scenario: who was refused may be taken over once the member stands again
    Given PORTING_MARGIN is 1 over 4 shards, and member 1 is in default
    And of member 2 a house account is below its initial margin
    When member 2 accepts an individual client
    And member 2 puts money into its house account
    And member 2 accepts an individual client
    Then the answer is ported

  Scenario: a member that fails between the check and the word takes nobody over
    Given PORTING_MARGIN is 1 over 4 shards, and member 1 is in default
    And of member 2 every account stands above its initial margin
    When member 2 accepts an individual client, and is put in default before the word
    Then the answer is refused: MEMBER_DEFAULTED
