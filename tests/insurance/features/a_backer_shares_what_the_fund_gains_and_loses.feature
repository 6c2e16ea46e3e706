Feature: A backer shares in what the fund gains and loses
  Money put into the insurance fund becomes units of it at the next mark, at what a unit is worth then without the new
  money, rounded down. What a unit is worth when it is given back is the fund's, divided by all units, rounded down.

  Scenario Outline: units for a deposit
    Given the fund held <before> and there were <units> units
    When a backer puts in <amount>
    Then it gets <minted> units
    And the clearinghouse gets <house> for what was there before

    Examples:
      | before | units | amount | minted | house | why                                              |
      | 0      | 0     | 100    | 100    | 0     | the first unit costs a smallest unit             |
      | 70     | 0     | 100    | 100    | 70    | what was there is the clearinghouse's            |
      | 200    | 100   | 100    | 50     | 0     | fees made a unit worth two                       |
      | 50     | 100   | 100    | 200    | 0     | losses made it worth a half                      |
      | 300    | 100   | 100    | 33     | 0     | rounded down, the rest is a gift to those before |
      | 300    | 100   | 2      | 0      | 0     | too small for a unit                             |
      | 0      | 100   | 100    | 100    | 0     | the fund was empty: the earlier units are void   |

  Scenario Outline: what units are worth
    Given the fund held <fund> and there were <units> units
    When <redeemed> of them are given back, and of the asset <owed> is owed
    Then <paid> is paid

    Examples:
      | fund | units | redeemed | owed    | paid    | why                                     |
      | 200  | 100   | 50       | nothing | 100     | half of it                              |
      | 199  | 100   | 50       | nothing | 99      | rounded against the backer              |
      | 80   | 100   | 100      | nothing | 80      | the last takes all, and no more         |
      | 200  | 100   | 50       | a debt  | nothing | while anything is owed nobody leaves    |
      | 0    | 100   | 50       | nothing | nothing | an empty fund pays nothing: it waits    |
      | 1    | 100   | 50       | nothing | nothing | less than a smallest unit: it waits     |
