Feature: No owner holds more than a share of an underlying's limit
  The fund holds 1,000 dollars, all of it may be lost to a stress of 1 %: the limit of BTC is 100,000 dollars, and one
  owner may hold a tenth, 10,000 dollars: 1,250 lots of the perp at 8,000. Ann's accounts are A1 to A3 on as many shards,
  Ben's is B1, and Max's M1 takes the other side.

  Scenario Outline: Whose accounts count together: <why>
    Given four shards and owners held to a tenth
    And accounts A1 and B1 <link>
    When these lots are bought, and a mark is made
      | A1   | A2   | A3   | B1   |
      | <A1> | <A2> | <A3> | <B1> |
    Then these owners are limited: <limited>

    Examples:
      | A1   | A2   | A3  | B1   | link            | limited | why                                                    |
      | 1250 | 0    | 0   | 1250 | are not linked  | -       | each at the share                                      |
      | 1251 | 0    | 0   | 1250 | are not linked  | Ann     | a lot above it                                         |
      | 417  | 417  | 416 | 0    | are not linked  | -       | spread over accounts and shards, at the share          |
      | 417  | 417  | 417 | 0    | are not linked  | Ann     | a lot above it, wherever the parts are                 |
      | 1249 | 1    | 1   | 0    | are not linked  | Ann     | small parts count in full                              |
      | -1251 | 0   | 0   | 0    | are not linked  | Ann     | short is held open too                                 |
      | 800  | -800 | 0   | 0    | are not linked  | -       | long and short are not added up: the larger counts     |
      | 800  | 0    | 0   | 451  | are not linked  | -       | two owners                                             |
      | 800  | 0    | 0   | 451  | have one owner  | Ann     | a link makes one of them                               |

  Scenario: What a limited owner may do, and nobody else is held to
    Given four shards and owners held to a tenth
    And accounts A1 and B1 are not linked
    When these lots are bought, and a mark is made
      | A1   | A2 | A3 | B1  |
      | 1300 | 0  | 0  | 100 |
    Then these owners are limited: Ann
    And each of these lots is answered, without a mark
      | account | lots | order         | leg           | why                                        |
      | A1      | 1    | OWNER_LIMITED | OWNER_LIMITED | more of it                                 |
      | A2      | 1    | OWNER_LIMITED | OWNER_LIMITED | nor in another account                     |
      | A1      | -1   | taken         | taken         | less of it                                 |
      | B1      | 1    | taken         | taken         | Ben is not limited                         |
    And after A1 sells down to these lots, and a mark each, Ann is
      | lots | Ann     | why                                        |
      | 1250 | limited | at the share: not yet                      |
      | 1125 | limited | at 90 % of it                              |
      | 1124 | free    | below                                      |
      | 1250 | free    | up to the share again                      |
      | 1251 | limited | above it                                   |
