Feature: An account keeps equity above its maintenance margin and the liquidation buffer
  Dollars. Maintenance margin 100, buffer 10, initial margin 130.

  Scenario Outline: At a mark without grace
    Given the account was <before>
    And its equity is <equity>
    And it holds <holds>
    When the mark is answered
    Then the account is <after>

    Examples: the steps down
      | before      | equity     | holds     | after       |
      | HEALTHY     | 130        | positions | HEALTHY     |
      | HEALTHY     | 129.999999 | positions | REDUCE_ONLY |
      | HEALTHY     | 110        | positions | REDUCE_ONLY |
      | HEALTHY     | 109.999999 | positions | LIQUIDATING |
      | HEALTHY     | -50        | positions | LIQUIDATING |
      | LIQUIDATING | -50        | nothing   | DEFICIT     |

    Examples: the steps up
      | before      | equity     | holds     | after       |
      | REDUCE_ONLY | 130        | positions | HEALTHY     |
      | LIQUIDATING | 129.999999 | positions | LIQUIDATING |
      | LIQUIDATING | 130        | positions | HEALTHY     |
      | DEFICIT     | 0          | positions | LIQUIDATING |
      | DEFICIT     | 130        | positions | HEALTHY     |

  Scenario Outline: With two marks of grace
    Given the account was <before>
    And its equity is 105
    And it holds positions
    And it was called <marks> marks ago with 2 marks of grace
    When the mark is answered
    Then the account is <after>

    Examples:
      | before      | marks | after       |
      | REDUCE_ONLY | 0     | CALLED      |
      | CALLED      | 1     | CALLED      |
      | CALLED      | 2     | LIQUIDATING |
