Feature: Cross margin does what it is for
  A lot is 0.001 BTC. Money in dollars. SPAN nets what follows one price, isolated nets nothing.

  Scenario Outline: A losing leg covered by another's gain, under <profile>
    # Alice is long 200 lots of the perp and short 200 of the future, bought and sold at 8,000.
    Given accounts with dollars
      | account | dollars | profile   |
      | Alice   | 620     | <profile> |
      | Bob     | 100000  | span      |
    When these trades are cleared
      | buyer | seller | instrument  | lots | price |
      | Alice | Bob    | BTC-PERP    | 200  | 8000  |
      | Bob   | Alice  | BTC-13MAR20 | 200  | 8000  |
    And the mark is at 8000
    Then Alice is <before>
    When the mark is at 7000
    Then Alice is <after>

    Examples:
      | profile  | before      | after       | why                                                        |
      | span     | HEALTHY     | HEALTHY     | 200 lost on one leg, 200 won on the other                  |
      | isolated | REDUCE_ONLY | LIQUIDATING | 200 are lost, the gain does not count: 420 against 420 + 42 |

  Scenario: A long call with a short put of one strike is margined as the future it is
    Given accounts with dollars
      | account | dollars | profile |
      | Alice   | 10000   | span    |
      | Carol   | 10000   | span    |
      | Bob     | 100000  | span    |
    When these trades are cleared
      | buyer | seller | instrument  | lots | price |
      | Alice | Bob    | BTC-C8000   | 100  | 300   |
      | Bob   | Alice  | BTC-P8000   | 100  | 300   |
      | Carol | Bob    | BTC-13MAR20 | 100  | 8000  |
    And the mark is at 8000
    Then Alice and Carol have the same maintenance margin to a millionth of it
