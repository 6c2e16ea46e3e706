Feature: Whose money pays when a member is in default

  The house's assets pay the house's losses, then the losses of the member's clients. A client's assets never pay the
  house's. Accounts of one omnibus share its losses pro rata; an individual client's assets pay its own alone. What then
  is still owed is the waterfall's.

  Every account below holds one bitcoin, bought at 8,000 dollars. The member is put in default, the price falls to 7,000,
  and everything is sold there: each loses 1,000 dollars. Nobody takes a client over.

  Scenario Outline: who pays
    Given a member whose accounts have, in dollars, house <house>, individual <individual>, omnibus <A> and <B>
    When it is put in default and the price falls by 1,000 dollars
    Then they are left with house <house left>, individual <individual left>, omnibus <A left> and <B left>
    And the fund has paid <fund>

    Examples: the house's loss
      | house | individual | A    | B    | house left | individual left | A left | B left | fund |
      | 600   | 5000       | 5000 | 5000 | 0          | 4000            | 4000   | 4000   | 400  |
      | 999   | 5000       | 5000 | 5000 | 0          | 4000            | 4000   | 4000   | 1    |
      | 1000  | 5000       | 5000 | 5000 | 0          | 4000            | 4000   | 4000   | 0    |
      | 3000  | 5000       | 5000 | 5000 | 2000       | 4000            | 4000   | 4000   | 0    |

    Examples: a client's loss, and what the house has left
      | house | individual | A    | B    | house left | individual left | A left | B left | fund |
      | 3000  | 700        | 5000 | 5000 | 1700       | 0               | 4000   | 4000   | 0    |
      | 1300  | 700        | 5000 | 5000 | 0          | 0               | 4000   | 4000   | 0    |
      | 1299  | 700        | 5000 | 5000 | 0          | 0               | 4000   | 4000   | 1    |
      | 600   | 700        | 5000 | 5000 | 0          | 0               | 4000   | 4000   | 700  |
      | 3000  | 5000       | 700  | 5000 | 1700       | 4000            | 0      | 4000   | 0    |

    Examples: an omnibus bears its own
      | house | individual | A    | B    | house left | individual left | A left | B left | fund |
      | 1000  | 5000       | 700  | 5000 | 0          | 4000            | 0      | 3700   | 0    |
      | 1100  | 5000       | 700  | 5000 | 0          | 4000            | 0      | 3800   | 0    |
      | 1000  | 5000       | 500  | 1200 | 0          | 4000            | 0      | 0      | 300  |
      | 1000  | 5000       | 500  | 700  | 0          | 4000            | 0      | 0      | 800  |

    Examples: an individual client neither pays for others nor is paid by clients
      | house | individual | A    | B    | house left | individual left | A left | B left | fund |
      | 1000  | 700        | 5000 | 5000 | 0          | 0               | 4000   | 4000   | 300  |
      | 600   | 5000       | 700  | 1000 | 0          | 4000            | 0      | 0      | 700  |

  Scenario Outline: what the house has left is shared over its clients by what they owe
    Given a member whose accounts have, in dollars, house <house>, individual <individual>, omnibus <A> and <B>
    When it is put in default and the price falls by 1,000 dollars
    Then the house has paid <to individual> for the individual client and <to A> for the omnibus

    Examples:
      | house | individual | A   | B    | to individual | to A |
      | 1100  | 700        | 900 | 1000 | 75            | 25   |
      | 1400  | 700        | 900 | 1000 | 300           | 100  |
      | 1001  | 700        | 900 | 1000 | 0.75          | 0.25 |

  Scenario: a member's house accounts stand for each other
    Given a member whose accounts have, in dollars, house 600, individual 5000, omnibus 5000 and 5000
    And a second house account with 3000 dollars
    When it is put in default and the price falls by 1,000 dollars
    Then the second house account is left with 1600
    And the fund has paid 0

  Scenario: the house's surplus may be kept from its clients by a parameter
    Given HOUSE_COVERS_CLIENTS is 0
    And a member whose accounts have, in dollars, house 3000, individual 700, omnibus 5000 and 5000
    When it is put in default and the price falls by 1,000 dollars
    Then they are left with house 2000, individual 0, omnibus 4000 and 4000
    And the fund has paid 300

  Scenario: two omnibuses of one member do not share
    Given a member whose accounts have, in dollars, house 1000, individual 5000, omnibus 700 and 1000
    And another omnibus with 5000 dollars
    When it is put in default and the price falls by 1,000 dollars
    Then the other omnibus is left with 4000
    And the fund has paid 300

  Scenario: a client that was taken over in time pays nothing of what its omnibus's old member leaves
    Given a member whose accounts have, in dollars, house 600, individual 5000, omnibus 5000 and 5000
    When it is put in default, the omnibus is taken over, and the price falls by 1,000 dollars
    Then the omnibus keeps its two bitcoins and its 10000 dollars
    And the fund has paid 400
