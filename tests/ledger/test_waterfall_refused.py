"""What the waterfall, the default fund and the fund's backers refuse, each by name, and that nothing moves by it."""

from __future__ import annotations

from typing import Any

import pytest
from waterfalls import NOWHERE, Falling
from world import HOUR, USD, reasons

from insurance.policy import shipped
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, Reason, WaterfallLayer
from schemas.outcomes import LaidOut

MEMBER, HOUSE_ACCOUNT, OWING = 1, 18, 16
BIG = 2**63 - 1
L = WaterfallLayer
R = Reason


def ready(shards: int = 1) -> Falling:
    """The policy "ccp" in force, a member with 100 in the default fund, an account that owes 50, a backer of 80 units
    who asked for 30 of them with the notice over, and for 40 more."""
    world = Falling(shards)
    world.member(OWING, 2)
    world.member(HOUSE_ACCOUNT, MEMBER, 1_000)
    world.contribute(MEMBER, 100)
    world.publish(shipped("ccp"))
    world.send(*_rows(9), e.PolicyLayer(policy=8, part=0, layer=L.OWN_COLLATERAL, time=0, share=10_000, amount=0))
    world.send(e.BackerMinted(fresh=0, asset=USD, backer=1, mark=1, units=80))
    notice = {"parameter": Parameter.BACKER_NOTICE, "scope": 0, "time": world.time, "effective": world.time + HOUR}
    world.send(e.ParameterChanged(**notice, value=HOUR))
    world.mark(after=HOUR)
    world.send(e.BackerWithdrawalRequested(asset=USD, backer=1, request=1, time=world.time, units=30))
    world.owe(OWING, 50)
    world.mark(after=HOUR)
    world.send(e.BackerWithdrawalRequested(asset=USD, backer=1, request=2, time=world.time, units=40))
    pending = _closing(7, world.time + 5 * HOUR)
    world.send(*_rows(7), pending)
    world.send(*_rows(7))
    assert reasons(world.said) == []
    assert world.balance(OWING) == -50
    return world


def _rows(policy: int) -> list[Any]:
    return [
        e.PolicyLayer(policy=policy, part=part, layer=layer, time=0, share=10_000, amount=0)
        for part, layer in enumerate((L.OWN_COLLATERAL, L.FUND, L.DELEVERAGING))
    ]


def _closing(policy: int, effective: int, layers: int = 3) -> Any:
    return e.PolicyPublished(policy=policy, layers=layers, time=0, effective=effective, digest=NOWHERE)


def _soon(world: Falling) -> int:
    return world.time + 5 * HOUR


VALID: dict[str, dict[str, Any]] = {
    "PolicyLayer": {"policy": 8, "part": 1, "layer": L.FUND, "time": 0, "share": 10_000, "amount": 0},
    "PolicyPublished": {"policy": 9, "layers": 3, "time": 0, "effective": None, "digest": NOWHERE},
    "LayerDrawn": {"layer": L.MEMBER_CONTRIBUTION, "asset": USD, "member": MEMBER, "mark": 4, "amount": 100},
    "LayerPaid": {"layer": L.OWN_CAPITAL, "asset": USD, "account": OWING, "member": 2, "mark": 4, "amount": 50},
    "Assessed": {"asset": USD, "account": HOUSE_ACCOUNT, "member": MEMBER, "mark": 4, "amount": 10},
    "GainsHaircut": {"asset": USD, "mark": 4, "rate": 5},
    "DefaultFundContributed": {"asset": USD, "member": MEMBER, "time": 0, "amount": 5},
    "BackerMinted": {"fresh": 0, "asset": USD, "backer": 2, "mark": 4, "units": 5},
    "BackerWithdrawalRequested": {"asset": USD, "backer": 1, "request": 3, "time": 0, "units": 10},
    "BackerPaid": {"asset": USD, "backer": 1, "request": 1, "mark": 4, "units": 30, "amount": 7},
}
REFUSED: list[tuple[str, dict[str, Any], Reason]] = [
    ("PolicyLayer", {"part": 2}, R.NUMBER_NOT_NEXT),
    ("PolicyLayer", {"part": 16}, R.TABLE_FULL),
    ("PolicyLayer", {"policy": 64}, R.TABLE_FULL),
    ("PolicyLayer", {"layer": 77}, R.UNKNOWN_ENUM_VALUE),
    ("PolicyPublished", {"policy": 5}, R.POLICY_INVALID),
    ("PolicyPublished", {"layers": 2}, R.POLICY_INVALID),
    ("PolicyPublished", {"policy": 8, "layers": 1}, R.POLICY_INVALID),
    ("PolicyPublished", {"policy": 7}, R.POLICY_PENDING),
    ("PolicyPublished", {"effective": 0}, R.PARAMETER_TOO_SOON),
    ("PolicyPublished", {"effective": -1}, R.TIME_OUT_OF_RANGE),
    ("PolicyPublished", {"effective": BIG}, R.TIME_OUT_OF_RANGE),
    ("LayerDrawn", {"layer": L.FUND}, R.LAYER_NOT_IN_POLICY),
    ("LayerDrawn", {"layer": L.TEAR_UP}, R.LAYER_NOT_IN_POLICY),
    ("LayerDrawn", {"asset": 9}, R.UNKNOWN_ASSET),
    ("LayerDrawn", {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    ("LayerDrawn", {"amount": BIG}, R.AMOUNT_NOT_POSITIVE),
    ("LayerDrawn", {"amount": 101}, R.LAYER_EMPTY),
    ("LayerDrawn", {"member": 2}, R.LAYER_EMPTY),
    ("LayerDrawn", {"mark": 5}, R.MARK_PASSED),
    ("LayerDrawn", {"mark": 0}, R.MARK_PASSED),
    ("LayerPaid", {"account": 40}, R.UNKNOWN_ACCOUNT),
    ("LayerPaid", {"asset": 9}, R.UNKNOWN_ASSET),
    ("LayerPaid", {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    ("LayerPaid", {"amount": 51}, R.NOTHING_DUE),
    ("LayerPaid", {"account": HOUSE_ACCOUNT}, R.NOTHING_DUE),
    ("Assessed", {"account": 40}, R.UNKNOWN_ACCOUNT),
    ("Assessed", {"member": 2}, R.NO_SUCH_MEMBER),
    ("Assessed", {"asset": 9}, R.UNKNOWN_ASSET),
    ("Assessed", {"amount": -5}, R.AMOUNT_NOT_POSITIVE),
    ("Assessed", {"mark": 5}, R.MARK_PASSED),
    ("GainsHaircut", {"mark": 3}, R.MARK_PASSED),
    ("GainsHaircut", {"asset": 9}, R.UNKNOWN_ASSET),
    ("GainsHaircut", {"rate": 0}, R.VALUE_OUT_OF_RANGE),
    ("GainsHaircut", {"rate": 10**9 + 1}, R.VALUE_OUT_OF_RANGE),
    ("DefaultFundContributed", {"member": 77}, R.NO_SUCH_MEMBER),
    ("DefaultFundContributed", {"asset": 9}, R.UNKNOWN_ASSET),
    ("DefaultFundContributed", {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
    ("BackerMinted", {"asset": 9}, R.UNKNOWN_ASSET),
    ("BackerMinted", {"units": 0}, R.VALUE_OUT_OF_RANGE),
    ("BackerMinted", {"units": 2**62}, R.VALUE_OUT_OF_RANGE),
    ("BackerWithdrawalRequested", {"asset": 9}, R.UNKNOWN_ASSET),
    ("BackerWithdrawalRequested", {"units": 0}, R.AMOUNT_NOT_POSITIVE),
    ("BackerWithdrawalRequested", {"units": 11}, R.BACKER_UNITS_SHORT),
    ("BackerWithdrawalRequested", {"backer": 2}, R.BACKER_UNITS_SHORT),
    ("BackerWithdrawalRequested", {"request": 2}, R.BACKER_REQUEST_EXISTS),
    ("BackerPaid", {"request": 9}, R.UNKNOWN_BACKER_REQUEST),
    ("BackerPaid", {"units": 29}, R.UNKNOWN_BACKER_REQUEST),
    ("BackerPaid", {"request": 2, "units": 40}, R.UNKNOWN_BACKER_REQUEST),
    ("BackerPaid", {"amount": 0}, R.AMOUNT_NOT_POSITIVE),
]


def made(world: Falling, kind: str, changes: dict[str, Any]) -> Any:
    values = VALID[kind] | changes
    if kind == "PolicyPublished" and values["effective"] is None:
        values["effective"] = _soon(world)
    return getattr(e, kind)(**values)


@pytest.mark.parametrize("kind", VALID)
def test_what_is_changed_below_is_accepted(kind: str) -> None:
    world = ready()
    before = world.digests()
    said = world.send(made(world, kind, {}))
    assert reasons(said) == []
    assert world.digests() != before or kind == "GainsHaircut"  # nobody gained


@pytest.mark.parametrize("shards", [1, 3])
def test_refused_by_name_and_nothing_moves(shards: int) -> None:
    world = ready(shards)
    before = world.digests()
    for kind, changes, reason in REFUSED:
        said = world.send(made(world, kind, changes))
        assert [(type(one).__name__, one.reason.name) for one in said] == [("Rejected", reason.name)], (kind, changes)
        assert world.digests() == before, (kind, changes)


def test_without_a_policy_no_layer_is_there() -> None:
    world = Falling()
    world.member(OWING, 2)
    for kind in ("LayerDrawn", "GainsHaircut"):
        assert reasons(world.send(made(world, kind, {"mark": 1}))) == ["LAYER_NOT_IN_POLICY"]


def test_a_call_beyond_what_the_account_can_spare_is_cut_and_says_so() -> None:
    world = ready()
    said = world.send(made(world, "Assessed", {"amount": 5_000}))
    told = [one for one in said if isinstance(one, LaidOut)]
    assert [(one.reason, one.asked, one.amount) for one in told] == [(R.ASSESSMENT_SHORT, 5_000, 1_000)]
    assert (world.balance(HOUSE_ACCOUNT), world.house(House.LAID_OUT)) == (0, 1_000)


def test_own_capital_that_went_to_the_fund_meanwhile_is_not_laid_out() -> None:
    world = ready()
    world.capital(60)
    world.fund(45, own=1)
    said = world.send(made(world, "LayerDrawn", {"layer": L.OWN_CAPITAL, "member": 0, "amount": 30}))
    told = [one for one in said if isinstance(one, LaidOut)]
    assert [(one.reason, one.asked, one.amount) for one in told] == [(R.LAYER_EMPTY, 30, 15)]
    assert world.house(House.OWN_CAPITAL) == 0


def test_a_gain_is_cut_once_however_often_it_is_asked_for() -> None:
    world = ready()
    for account in (20, 21):
        world.member(account, account, 10**11)
    world.gain(20, 21, 1)
    world.mark(btc=8_001)
    cut = e.GainsHaircut(asset=USD, mark=world.marks, rate=5 * 10**8)
    assert [one.amount for one in world.send(cut) if isinstance(one, LaidOut)] == [500]
    assert world.send(cut) == []
