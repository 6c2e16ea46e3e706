Feature: A withdrawal is decided at the next mark: what stays must cover the initial margin without unrealised gains
  A lot of BTC-PERP is 0.001 BTC; at 8,000 a long of 100 lots is worth 800 dollars, its scan risk is 15 %: 120 dollars of
  maintenance, 12 of buffer, 144 of initial margin. Alice has 500 dollars.

  Scenario Outline: <why>
    Given accounts with dollars
      | account | dollars |
      | Alice   | 500     |
      | Bob     | 5000    |
    When these trades are cleared
      | buyer | seller | instrument | lots   | price   |
      | Alice | Bob    | BTC-PERP   | <lots> | <price> |
    And Alice has an order for <order> lots of BTC-PERP at 8000
    And Alice asks for <amount> dollars
    And the mark is at 8000
    Then the answer is <answer>

    Examples:
      | lots | price | order | amount     | answer                  | why                                              |
      | 100  | 8000  | none  | 356        | approved                | 144 stay                                         |
      | 100  | 8000  | none  | 356.000001 | WITHDRAWAL_BELOW_MARGIN | a millionth short                                |
      | 100  | 7000  | none  | 356        | approved                | a gain of 100 is not there to take               |
      | 100  | 7000  | none  | 356.000001 | WITHDRAWAL_BELOW_MARGIN | the gain does not even cover a millionth         |
      | 100  | 9000  | none  | 256        | approved                | a loss of 100 counts                             |
      | 100  | 9000  | none  | 256.000001 | WITHDRAWAL_BELOW_MARGIN | in full                                          |
      | 100  | 8000  | 50    | 284        | approved                | the order needs half as much again: 216 stay     |
      | 100  | 8000  | 50    | 284.000001 | WITHDRAWAL_BELOW_MARGIN | orders count                                     |
      | 1    | 8000  | none  | 500.000001 | WITHDRAWAL_UNCOVERED    | there is no more                                 |

  Scenario: What is paid leaves the custodian, what is returned comes back
    Given accounts with dollars
      | account | dollars |
      | Alice   | 500     |
    When Alice asks for 200 dollars
    Then the dollars are
      | account | dollars |
      | Alice   | 500     |
    When the mark is at 8000
    Then the house has
      | account | dollars | why            |
      | TRANSIT | 200     | on its way     |
      | CUSTODY | -500    | still there    |
    When the custodian returned it
    Then the house has
      | account | dollars | why |
      | TRANSIT | 0       |     |
    And the dollars are
      | account | dollars |
      | Alice   | 500     |
    When Alice asks for 200 dollars
    And the mark is at 8000
    And the custodian paid it
    Then the house has
      | account | dollars | why      |
      | TRANSIT | 0       |          |
      | CUSTODY | -300    | 200 left |
    And the dollars are
      | account | dollars |
      | Alice   | 300     |
