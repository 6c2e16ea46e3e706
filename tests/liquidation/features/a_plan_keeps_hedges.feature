Feature: A plan never breaks a hedge into naked legs
  Dollars. PERP, COIN, PUT and the calls are of one underlying, ETH and ALT of one each. Two stresses decide: prices fall
  or rise. A lot loses when prices fall (rise): PERP and ETH 10 (-10), ALT 30 (-30), CALL 4 (-6), CALL2 1 (-3), PUT -6 (4),
  and COIN, which is collateral with a haircut of a fifth, 8 (-8). The initial margin is 1.2 x the sum of each underlying's
  larger loss. A lot is worth 100, a CALL or PUT 5, a CALL2 2; a sale costs 1 % of what is sold.

  The rule: what is left after a plan needs no more than before, neither the whole nor, by itself, any underlying of which
  something was sold. A leg that hedges is therefore sold only together with what it hedges. Where that cannot heal the
  account everything is sold, and the plan is marked as whole: it may be offered as one portfolio.

  Scenario Outline: What is planned
    Given an account with equity <equity> and a credit of <credit> % between PERP and ETH
    And it holds <held>
    When its liquidation is planned by the method <method>
    Then the plan sells <sales> at a cost of <cost>

    Examples: collateral that hedges a position
      | method | equity | credit | held              | sales             | cost | why                                              |
      | greedy | 20     | 0      | COIN 40, PERP -40 | COIN -10          | 10   | the haircut given back buys a naked short: 192   |
      | better | 20     | 0      | COIN 40, PERP -40 | PERP 7            | 7    | only what the coin does not cover: 12 against 13 |
      | better | -100   | 0      | COIN 40, PERP -40 | COIN -10, PERP 10 | 20   | both together, where equity needs the haircut    |

    Examples: collateral in another asset is sold where that is cheaper
      | method | equity | credit | held             | sales    | cost | why                                              |
      | greedy | 840    | 0      | COIN 40, ETH 40  | COIN -10 | 10   | frees 96 and the haircut of 200                  |
      | better | 840    | 0      | COIN 40, ETH 40  | COIN -1  | 1    | 840 + 20 - 1 covers 864 - 9.6                    |
      | better | 600    | 0      | COIN 40, ETH 40  | COIN -10 | 10   | ten of ETH would free 120, ten of COIN 296       |

    Examples: spreads and covered calls
      | method | equity | credit | held                     | sales              | cost | why                                          |
      | better | 100    | 0      | CALL 40, CALL2 -40       | CALL -10           | 0.5  | the 30 left still cover the 40 sold          |
      | better | 200    | 0      | CALL 40, CALL2 -40, ETH 10 | CALL -14         | 0.7  | as little as heals, never the short leg alone |
      | better | 200    | 0      | COIN 40, CALL -40        | nothing            | 0    | the coin covers the calls: 192               |
      | greedy | 140    | 0      | CALL 40, CALL2 -40, ETH 10 | CALL -30, CALL2 10, ETH -3 | 4.7 | in quarters                         |
      | better | 140    | 0      | CALL 40, CALL2 -40, ETH 10 | CALL -30, CALL2 15 | 1.8  | the linear program's: ETH stays              |

    Examples: delta-hedged options
      | method | equity | credit | held                   | sales                    | cost | why                                   |
      | better | 48     | 0      | PERP 20, CALL -40      | nothing                  | 0    | each stress costs 40                  |
      | better | 40     | 0      | PERP 20, CALL -40      | PERP -9, CALL 18         | 9.9  | in the ratio of the hedge             |
      | better | 100    | 0      | PERP 20, CALL -40, ALT 2 | ALT -1                 | 1    | the naked leg, the hedge stays        |
      | better | 300    | 0      | PERP 40, PUT 40, ETH 10 | PERP -2                 | 2    | the puts are never sold               |

    Examples: credit between two underlyings
      | method | equity | credit | held                    | sales                  | cost | why                                       |
      | better | 384    | 60     | PERP 40, ETH -40        | nothing                | 0    | 800 less 480, times 1.2                   |
      | better | 380    | 60     | PERP 40, ETH -40        | PERP -1, ETH 1         | 2    | one leg alone would raise the whole       |
      | better | 380    | 60     | PERP 40, ETH -40, ALT 4 | PERP -2, ETH 2, ALT -4 | 8    | the naked leg first                       |

    Examples: a cheaper sale that would break a hedge is passed over
      | method | equity | credit | held                     | sales   | cost | why                                            |
      | greedy | 430    | 60     | PERP 40, PUT 40, ETH -40 | PUT -10 | 0.5  | more risk in BTC, and more credit for it       |
      | better | 430    | 60     | PERP 40, PUT 40, ETH -40 | ETH 2   | 2    | the puts stay                                  |
      | greedy | 390    | 60     | COIN 40, ETH -40         | COIN -10 | 10  | its haircut is worth more than the credit lost |
      | better | 390    | 60     | COIN 40, ETH -40         | ETH 2   | 2    | the whole would need 405 after one of COIN     |

    Examples: nothing less than everything
      | method | equity | credit | held                    | sales                    | cost | why                                     |
      | better | 0      | 0      | PERP 20, CALL -40       | PERP -20, CALL 40, whole | 22   | what is left always needs more          |
      | better | -1     | 0      | PERP 40, ETH 40         | PERP -40, ETH -40, whole | 80   | equity is gone                          |
