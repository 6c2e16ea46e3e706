Feature: A client goes over to another member while its own is in default

  A member in default is closed out; its clients did nothing wrong. Another member may take a client over, with all its
  positions and collateral, until the window is over. Who is not taken over is closed out then, and what it has left is
  its own.

  Scenario Outline: who may be taken over, by whom and when
    Given member 1 is in default, with a window of 4 hours
    When <taker> accepts <account> <when>
    Then it is <answer>

    Examples:
      | account                 | taker               | when            | answer                       |
      | an individual client    | member 2            | at once         | ported                       |
      | an individual client    | member 2            | after 3.5 hours | ported                       |
      | an individual client    | member 2            | after 4 hours   | refused: PORTING_WINDOW_OVER |
      | an individual client    | its own member      | at once         | refused: SAME_MEMBER         |
      | an individual client    | a member in default | at once         | refused: MEMBER_DEFAULTED    |
      | an individual client    | nobody's member     | at once         | refused: UNKNOWN_MEMBER      |
      | a house account         | member 2            | at once         | refused: PORTING_NOT_A_CLIENT |
      | a client of member 2    | member 3            | at once         | refused: MEMBER_NOT_DEFAULTED |
      | an account nobody has   | member 2            | at once         | refused: UNKNOWN_ACCOUNT     |
      | a client below margin   | member 2            | at once         | refused: PORTING_IN_BREACH   |
      | an omnibus of two       | member 2            | at once         | ported                       |
      | an omnibus, one below margin | member 2       | at once         | refused: PORTING_IN_BREACH   |

  Scenario: what is taken over keeps everything it has
    Given member 1 is in default, with a window of 4 hours
    When member 2 accepts an individual client at once
    And the window ends and everything is settled
    Then the account has all its positions and all its collateral, and may trade and withdraw again

  Scenario: nobody is willing
    Given member 1 is in default, with a window of 4 hours
    When the window ends and everything is settled
    Then every client of member 1 is closed out, at no loss but the market's, and may withdraw what it has left

  Scenario: an omnibus goes whole, and another omnibus of the member stays
    Given member 1 is in default, with a window of 4 hours
    When member 2 accepts an omnibus of two at once
    Then both its accounts are member 2's, and the other omnibus is member 1's

  Scenario Outline: two members want the same client
    Given member 1 is in default, with a window of 4 hours
    When member <first> and then member <second> accept the individual client <how>
    Then the client is member <gets>'s

    Examples:
      | first | second | how                | gets |
      | 2     | 3      | in one entry       | 2    |
      | 3     | 2      | in one entry       | 3    |
      | 2     | 3      | one after the other | 2   |

  Scenario Outline: porting and liquidation meet
    Given member 1 is in default, with a window of 4 hours
    When the individual client falls below maintenance <order> member 2 accepts it
    Then it is <answer>, and its liquidation goes on until it stands on its own

    Examples:
      | order                                  | answer                     |
      | before                                 | refused: PORTING_IN_BREACH |
      | at a mark between the check and the word, after | ported            |

  Scenario Outline: what an account may do whose member is in default
    Given member 1 is in default, with a window of 4 hours
    When <account> wants to <what> <when>
    Then it is <answer>

    Examples:
      | account                       | what                | when              | answer                     |
      | a house account               | add to its position | at once           | refused: MEMBER_DEFAULTED  |
      | an individual client          | add to its position | at once           | refused: MEMBER_DEFAULTED  |
      | an individual client          | reduce its position | at once           | allowed                    |
      | an individual client          | withdraw            | at once           | refused: MEMBER_DEFAULTED  |
      | a client without positions    | withdraw            | at once           | allowed                    |
      | an omnibus without positions  | withdraw            | at once           | refused: MEMBER_DEFAULTED  |
      | an omnibus without positions  | withdraw            | when all is settled | allowed                  |
      | an individual client          | withdraw            | when all is settled | allowed                  |
      | a house account               | withdraw            | at once           | refused: MEMBER_DEFAULTED  |
      | a house account               | withdraw            | when all is settled | allowed                  |
      | member 1                      | open an account     | at once           | refused: MEMBER_DEFAULTED  |
      | an omnibus of two             | be tied to another  | at once           | refused: MEMBER_DEFAULTED  |
      | an individual client          | deposit             | at once           | allowed                    |
