"""A policy's text is read strictly; its layers keep their order; it reaches the journal as rows."""

import hashlib

import pytest

from insurance.policy import SHIPPED, InForce, Rank, fault_of, parse_policy, published, shipped
from insurance.waterfall import steps
from schemas.events import PolicyLayer, PolicyPublished
from schemas.kinds import WaterfallLayer as L
from schemas.strict import Fault, TomlError

HEAD = 'name = "x"\npublished = "2026-01-31"\ndescription = "d"\n'


def layer(name: str, more: str = "") -> str:
    return f'[[layers]]\nlayer = "{name}"\nmeaning = "m"\n{more}\n'


def whole(*names: str, head: str = HEAD) -> str:
    return head + "".join(layer(name) for name in names)


GOOD = whole("own_collateral", "own_capital", "fund", "deleveraging")
BAD = [
    ("text", "name = ", Fault.NOT_TOML, ""),
    ("not ASCII", GOOD.replace('"m"', '"\u00e9"', 1), Fault.NOT_ASCII, ""),
    ("too long", GOOD + "#" * 20_000, Fault.TOO_LONG, ""),
    ("no name", GOOD.replace('name = "x"\n', ""), Fault.MISSING, "name"),
    ("a number for a name", GOOD.replace('"x"', "3", 1), Fault.WRONG_TYPE, "name"),
    ("an empty description", GOOD.replace('"d"', '" "', 1), Fault.OUT_OF_RANGE, "description"),
    ("no day", GOOD.replace("2026-01-31", "2026-13-01"), Fault.OUT_OF_RANGE, "published"),
    ("no layers", HEAD, Fault.MISSING, "layers"),
    ("layers that are no tables", HEAD + "layers = [1]\n", Fault.WRONG_TYPE, "layers[0]"),
    ("an unknown key", GOOD + "colour = 1\n", Fault.UNKNOWN_KEY, "layers[3].colour"),
    ("an unknown layer", whole("own_collateral", "luck", "tear_up"), Fault.UNKNOWN_LAYER, "layers[1].layer"),
    ("in capitals", whole("OWN_COLLATERAL", "tear_up"), Fault.UNKNOWN_LAYER, "layers[0].layer"),
    ("a float too fine", HEAD + layer("own_collateral", "share = 0.00001"), Fault.OUT_OF_RANGE, "layers[0].share"),
    ("true for a share", HEAD + layer("own_collateral", "share = true"), Fault.WRONG_TYPE, "layers[0].share"),
    ("a negative share", HEAD + layer("own_collateral", "share = -0.5"), Fault.OUT_OF_RANGE, "layers[0].share"),
    ("limited to nothing", HEAD + layer("own_collateral", "amount = 0"), Fault.OUT_OF_RANGE, "layers[0].amount"),
    ("collateral is not first", whole("fund", "own_collateral", "tear_up"), Fault.BAD_ORDER, "layers"),
    ("nothing ends it", whole("own_collateral", "fund"), Fault.BAD_ORDER, "layers"),
    ("two ends", whole("own_collateral", "tear_up", "deleveraging"), Fault.BAD_ORDER, "layers"),
    ("twice", whole("own_collateral", "fund", "fund", "tear_up"), Fault.BAD_ORDER, "layers"),
    ("laid_out named", whole("own_collateral", "laid_out", "tear_up"), Fault.BAD_ORDER, "layers"),
    (
        "others before the member's own",
        whole("own_collateral", "default_fund", "member_contribution", "tear_up"),
        Fault.BAD_ORDER,
        "layers",
    ),
    ("gains before money", whole("own_collateral", "gains_haircut", "fund", "tear_up"), Fault.BAD_ORDER, "layers"),
]


@pytest.mark.parametrize(("why", "text", "fault", "path"), BAD, ids=[row[0] for row in BAD])
def test_refused_by_name_and_place(why: str, text: str, fault: Fault, path: str) -> None:
    with pytest.raises(TomlError) as refused:
        parse_policy(text)
    assert (refused.value.fault, refused.value.path) == (fault, path)


def test_what_is_read() -> None:
    text = HEAD + layer("own_collateral") + layer("own_capital", 'share = "0.25"\namount = 1000.5') + layer("tear_up")
    policy = parse_policy(text)
    assert policy.ranks == (Rank(L.OWN_COLLATERAL), Rank(L.OWN_CAPITAL, 2_500, 1_000_500_000), Rank(L.TEAR_UP))
    assert policy.digest == hashlib.sha256(text.encode()).digest()
    assert (policy.name, policy.published, policy.layers[1].meaning) == ("x", "2026-01-31", "m")


def test_the_waterfall_that_holds_is_told_layer_by_layer() -> None:
    ranks = (Rank(L.OWN_COLLATERAL), Rank(L.OWN_CAPITAL, 2_500, 1_000_500_000), Rank(L.FUND, 9_000), Rank(L.TEAR_UP))
    assert steps(InForce(1, 7, bytes(32), ranks)) == [
        "own_collateral",
        "own_capital: at most 2500 basis points and 1000.5 dollars in each asset",
        "fund: at most 9000 basis points",
        "tear_up",
    ]
    assert [line.split(":")[0] for line in steps(None)] == ["own_collateral", "fund", "deleveraging"]


LIMITS = [
    (Rank(L.FUND, 0), "a share of 0"),
    (Rank(L.FUND, 10_001), "a share of 10001"),
    (Rank(L.ASSESSMENT, 100_001), "a share of 100001"),
    (Rank(L.FUND, 10_000, -1), "an amount of -1"),
    (Rank(L.ASSESSMENT, 10_000, 5), "it takes no amount"),
    (Rank(L.MEMBER_CONTRIBUTION, 9_999), "it takes no share"),
]


@pytest.mark.parametrize(("rank", "why"), LIMITS)
def test_limits_belong_to_layers_that_can_have_them(rank: Rank, why: str) -> None:
    found = fault_of([Rank(L.OWN_COLLATERAL), rank, Rank(L.TEAR_UP)])
    assert found is not None
    assert why in found


def test_the_shipped_policies_are_the_two_of_the_field() -> None:
    told = {name: [layer.name.lower() for layer in (rank.layer for rank in shipped(name).ranks)] for name in SHIPPED}
    assert told == {
        "exchange": ["own_collateral", "own_capital", "fund", "deleveraging"],
        "ccp": [
            "own_collateral",
            "member_contribution",
            "own_capital",
            "default_fund",
            "assessment",
            "gains_haircut",
            "tear_up",
        ],
    }
    with pytest.raises(KeyError):
        shipped("none")


def test_published_it_is_a_row_a_layer_and_one_that_closes() -> None:
    policy = shipped("exchange")
    *rows, closing = published(policy, 3, 5, 7)
    assert all(isinstance(row, PolicyLayer) for row in rows)
    assert [(row.part, row.layer, row.share) for row in rows] == [  # type: ignore[union-attr]
        (part, rank.layer, rank.share) for part, rank in enumerate(policy.ranks)
    ]
    assert closing == PolicyPublished(policy=3, layers=4, time=5, effective=7, digest=policy.digest)
