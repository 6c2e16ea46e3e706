Feature: A policy changes with notice, also while a default is open
  Own capital is 400. Under "exchange" a quarter of it may be used, under "ccp" a half of what there is then.

  Scenario: it holds from the first mark past the notice on
    Given own capital of 400 and a fund of 0
    And the policy "exchange"
    When Ann owes 500 and Bob owes 0
    Then Ann still owes 400 and Bob 0
    When the policy "ccp" is published to take effect at once
    Then it is refused: PARAMETER_TOO_SOON
    When the policy "ccp" is published to take effect in an hour
    And another mark comes at the same price
    Then Ann still owes 400 and Bob 0
    When a mark comes an hour later
    Then own capital pays 250 for Ann and 0 for Bob
    And Ann still owes 250 and Bob 0
