Feature: An account that left a rung does not come back to it at the same price
  Dollars. Maintenance margin 100, buffer 10, initial margin 130. Hysteresis is a part of the initial margin.

  Scenario Outline: With a hysteresis of <hysteresis> %: <why>
    Given the account was <before>
    And its equity is <equity>
    And it holds positions
    And the ladder has a hysteresis of <hysteresis> %
    When the mark is answered
    Then the account is <after>

    Examples: without it a cent decides
      | hysteresis | before      | equity     | after       | why                                     |
      | 0          | REDUCE_ONLY | 130        | HEALTHY     | back at once                            |
      | 0          | HEALTHY     | 129.999999 | REDUCE_ONLY | and away again                          |

    Examples: HEALTHY is left at the initial margin and reached again above it
      | hysteresis | before      | equity     | after       | why                                     |
      | 10         | HEALTHY     | 130        | HEALTHY     | an account that never left it stays     |
      | 10         | HEALTHY     | 129.999999 | REDUCE_ONLY | the way down is as without it           |
      | 10         | REDUCE_ONLY | 142.999999 | REDUCE_ONLY | a tenth of 130 is missing to a millionth |
      | 10         | REDUCE_ONLY | 143        | HEALTHY     | 130 and a tenth                         |
      | 10         | LIQUIDATING | 129.999999 | LIQUIDATING | as without it                           |
      | 10         | LIQUIDATING | 130        | REDUCE_ONLY | nothing more is sold, nothing is opened |
      | 10         | LIQUIDATING | 143        | HEALTHY     | or healed at once                       |
      | 10         | DEFICIT     | 130        | REDUCE_ONLY | paid up                                 |

  Scenario Outline: A call is answered at the initial margin, with three marks of grace: <why>
    Given the account was CALLED
    And its equity is <equity>
    And it holds positions
    And it was called <marks> marks ago with 3 marks of grace
    And the ladder has a hysteresis of <hysteresis> %
    When the mark is answered
    Then the account is <after>
    And it has been called for <counted> marks

    Examples:
      | hysteresis | equity     | marks | after       | counted | why                                          |
      | 10         | 109.999999 | 2     | CALLED      | 3       | a mark of its grace is gone                  |
      | 10         | 109.999999 | 3     | LIQUIDATING | 4       | and with the third all of it                 |
      | 10         | 110        | 2     | CALLED      | 2       | above the call, below the initial: it waits  |
      | 10         | 129.999999 | 3     | CALLED      | 3       | nothing is sold of what is not in breach     |
      | 10         | 130        | 2     | REDUCE_ONLY | 0       | the call is answered                         |
      | 10         | 143        | 2     | HEALTHY     | 0       | and more than answered                       |
      | 0          | 110        | 2     | REDUCE_ONLY | 0       | without it a moment above gives a new grace  |
