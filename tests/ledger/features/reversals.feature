Feature: A reversed trade gives its fee back, and never out of money that the fund has paid out
  A fifth of a fee goes to the fund. A trade of Alice and Bob costs Alice 100: FEES gets 80, the fund 20. Then the fund
  pays what Carol owes, and the venue takes the trade back. Nobody can ask the fund's total there: it lies in the books of
  all shards. All amounts are smallest units of the dollar.

  Scenario Outline: <why>
    Given REVERSAL_KEEPS_FUND is <rule> and the policy in force is <policy>
    And the fund got <more> from a backer
    When Alice pays a fee of 100 on a trade with Bob
    And the fund pays 20 that Carol owes
    And the trade is reversed
    Then Alice has what she had
    And the fund has <fund> and FEES has <fees>
    And the next mark <mark>

    Examples:
      | rule | policy   | more | fund | fees | mark                        | why                                             |
      | on   | none     | 0    | 0    | -20  | is answered                 | the clearinghouse's fees bear all of it         |
      | on   | none     | 50   | 50   | -20  | is answered                 | also where the fund could bear it               |
      | off  | exchange | 0    | 0    | -20  | is answered                 | under a policy it is so without the parameter   |
      | on   | exchange | 0    | 0    | -20  | is answered                 | both say the same                               |
      | off  | none     | 50   | 30   | 0    | is answered                 | as it always was: the fund gives its part       |
      | off  | none     | 0    | -20  | 0    | stops: the fund has -20     | as it always was: it may not be there any more  |

  Scenario: Whatever is reversed, the mark is answered
    Given REVERSAL_KEEPS_FUND is on and the policy in force is none
    When 7 trades that never were are reversed, of a fee of 100 each
    Then the fund has 0 and FEES has -700
    And the next mark is answered
