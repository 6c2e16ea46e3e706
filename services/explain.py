"""Why an account stands where it stands: its margin taken apart at a position, and what was said of it there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from insurance.porting import RULES
from insurance.waterfall import steps
from ledger.journal.outcomes import OutcomeLog
from ledger.members import must_close, pool_of, window_over
from ledger.snapshot import digest_of
from ledger.state import State, holdings, live_rows
from liquidation.provoking import Naked, wider
from risk.breakdown import breakdown
from risk.profile import profile_digest
from schemas.jsonform import to_json
from schemas.kinds import AccountStatus, Kind, Parameter, Rung, Segregation
from schemas.limits import ARRAY_EXPONENT
from schemas.outcomes import OUTCOMES
from schemas.units import format_decimal, format_time
from schemas.wire import OutcomeHeader, decode, messages_of
from services.lockstep import OUTCOME_LOG, Clearing
from services.replay import replayed
from services.view import StateView

DISCOUNTS: Final = (Parameter.AUCTION_FLOOR, Parameter.PORTFOLIO_RESERVE, Parameter.BACKSTOP_DISCOUNT)


class AccountUnknown(ValueError):  # noqa: N818 - named for what is found
    """No account has this number at the position asked for."""

    def __init__(self, account: int, position: int) -> None:
        super().__init__(f"account {account} is not open at position {position}")


def owner(clearing: Clearing, account: int) -> State:
    """The shard that keeps an account's books. Raises AccountUnknown."""
    for state in clearing.states:
        if state.exists(account) and state.owns(account):
            return state
    raise AccountUnknown(account, clearing.sequence.n)


def micro(amount: int) -> str:
    """Micro-dollars as dollars."""
    return format_decimal(amount, 6)


def fine(amount: int) -> str:
    """2^-ARRAY_EXPONENT micro-dollars as dollars, rounded down to the micro-dollar."""
    return micro(amount >> ARRAY_EXPONENT)


def standing(state: State, account: int) -> dict[str, Any]:
    """An account's books: balances and positions in units people read."""
    facts, pool = state.facts, state.pool
    start = int(pool.start[account])
    return {
        "account": account,
        "name": bytes(state.accounts.name[account]).decode("utf-8"),
        "status": AccountStatus(int(state.accounts.status[account])).name.lower(),
        "segregation": Segregation(int(state.accounts.segregation[account])).name.lower(),
        "member": int(state.accounts.member[account]),
        "owner": int(state.accounts.owner[account]),
        "rung": Rung(int(state.accounts.rung[account])).name.lower(),
        "balances": {
            listed.symbol: format_decimal(int(state.balance[account, asset]), listed.decimals)
            for asset, listed in sorted(facts.assets.items())
            if state.balance[account, asset]
        },
        "positions": [
            {
                "instrument": facts.instruments[int(pool.instrument[p])].symbol,
                "lots": int(pool.quantity[p]),
                "cost": format_decimal(int(pool.cost[p]), _decimals(state, int(pool.instrument[p]))),
                "realised": format_decimal(int(pool.realised[p]), _decimals(state, int(pool.instrument[p]))),
            }
            for p in range(start, start + int(pool.count[account]))
            if pool.quantity[p] or pool.realised[p]
        ],
        "open_orders": len(state.orders.get(account, {})),
    }


def member_default(state: State, account: int) -> dict[str, Any]:
    """Of an account whose member is in default: how far that is, and whose money is touched and whose never."""
    member = int(state.accounts.member[account])
    declared, until, settled = state.facts.defaults[member]
    rule = RULES[Segregation(int(state.accounts.segregation[account]))]
    return {
        "member": member,
        "declared": format_time(declared),
        "window_until": format_time(until),
        "window_over": window_over(state, member),
        "settled": bool(settled),
        "closing_out": must_close(state, account),
        "omnibus": pool_of(state, account),
        "its_loss_is_paid_by": [*rule.first, "then the waterfall"],
        "its_loss_is_never_paid_by": list(rule.never),
        "its_assets_may_pay": rule.touched,
    }


def _decimals(state: State, instrument: int) -> int:
    return state.facts.assets[state.facts.instruments[instrument].settlement_asset].decimals


def explained(directory: Path, account: int, position: int) -> dict[str, Any]:
    """The whole answer to "why?" after entry `position`.

    Raises PositionUnknown, AccountUnknown and what reading the directory raises.
    """
    clearing = replayed(directory, position)
    state = owner(clearing, account)
    return {
        "position": position,
        **taken_apart(state, account),
        **({"default": member_default(state, account)} if state.in_default(account) else {}),
        "said": said_of(directory, state, account, position),
        "waterfall": steps(state.facts.policy),
        "auctions": auction_terms(state),
    }


def auction_terms(state: State) -> dict[str, Any]:
    """The largest discounts at which a failing account is sold, and those wider than what the margin profiles ask for
    (liquidation/provoking.py), basis points."""
    facts = state.facts
    discounts = {which: state.parameter(which) for which in DISCOUNTS}
    return {
        "discounts": {which.name.lower(): points for which, points in discounts.items()},
        "wider_than_maintenance": [
            {
                "discount": one.which.name.lower(),
                "profile": facts.profiles[one.profile].name,
                "underlying": facts.underlyings[one.underlying].symbol,
                "kind": one.kind.name.lower(),
                "basis_points": one.discount,
                "maintenance": one.maintenance,
            }
            for one in wider(discounts, _naked(state))
        ],
    }


def _naked(state: State) -> Iterator[Naked]:
    """A lot of every marked derivative under every profile, on the side that needs less."""
    view, m, p = StateView(state), state.market, state.profiles
    for instrument, listed in sorted(state.facts.instruments.items()):
        for profile in sorted(state.facts.profiles) if listed.kind != Kind.SPOT and m.marked[instrument] else ():
            if p.has_row[profile, instrument]:
                width = int(p.width[profile])
                first = int(p.offset[profile]) + instrument * width
                losses = p.losses[first : first + width]
                long, short = max(0, int(losses.max())), max(0, -int(losses.min()))
                worth = view.value(instrument, 1)
                yield Naked(profile, listed.underlying, listed.kind, worth, min(long, short) >> ARRAY_EXPONENT)


def taken_apart(state: State, account: int) -> dict[str, Any]:
    """An account's margin with what every figure is made of, as its shard's state stands."""
    told = breakdown(account, holdings(state), state.market, state.profiles)
    facts = state.facts
    profile = facts.profiles.get(told.profile)
    symbol = {number: listed.symbol for number, listed in facts.instruments.items()}
    underlying = {number: listed.symbol for number, listed in facts.underlyings.items()}
    scenarios = [one.id for one in profile.scenarios()] if profile else []
    netted = bool(profile and profile.netting)
    limit = told.maintenance + told.buffer
    return {
        "time": format_time(state.time),
        "mark": state.mark,
        "profile": {
            "name": profile.name if profile else None,
            "digest": profile_digest(facts.profile_texts[told.profile]).hex() if profile else None,
        },
        **standing(state, account),
        "equity": micro(told.equity),
        "maintenance": micro(told.maintenance),
        "buffer": micro(told.buffer),
        "initial": micro(told.initial),
        "isolated_maintenance": micro(told.isolated),
        "capital_saved": micro(told.isolated - told.maintenance),
        "margin_ratio": f"{told.equity / limit:.4f}" if limit > 0 else None,
        "breach": told.equity < limit,
        "status_of_figures": told.status.name.lower(),
        "equity_of_assets": [
            {
                "asset": facts.assets[part.asset].symbol,
                "value": micro(part.value),
                "haircut": f"{part.haircut / 100:g} %",
                "counted": micro(part.counted),
            }
            for part in told.assets
        ],
        "equity_of_positions": [
            {
                "instrument": symbol[part.instrument],
                "lots": part.quantity,
                "counted": micro(part.counted),
                "accrued_funding": micro(part.funding),
            }
            for part in told.positions
        ],
        "fees_due": micro(told.fees_due),
        "groups": [
            {
                "group": underlying[group.key] if netted else symbol.get(group.key, str(group.key)),
                "scan_risk": fine(group.scan),
                "worst_scenario": scenarios[group.worst] if group.worst is not None and scenarios else None,
                "basis_charge": fine(group.basis),
                "losses": {s: fine(loss) for s, loss in zip(scenarios, group.losses, strict=False)},
                "legs": [
                    {
                        "instrument": symbol[leg.instrument],
                        "lots": leg.quantity,
                        "collateral": facts.assets[leg.asset].symbol if leg.asset is not None else None,
                        "loss_in_worst": fine(leg.losses[group.worst]) if group.worst is not None else micro(0),
                    }
                    for leg in group.legs
                ],
            }
            for group in told.groups
        ],
        "add_ons": {
            "scan": fine(told.required.scan),
            "basis": fine(told.required.basis),
            "credits": [
                {"between": [underlying[pair.a], underlying[pair.b]], "credit": fine(pair.credit)}
                for pair in told.required.credits
            ],
            "short_option_minimum": fine(told.required.short_option_minimum),
        },
        "orders": [
            {"instrument": symbol[one.instrument], "lots": one.quantity, "price": one.price} for one in told.orders
        ],
    }


def said_of(directory: Path, state: State, account: int, position: int) -> list[dict[str, Any]]:
    """The outcomes of an entry that name an account, readable."""
    with closing(OutcomeLog(directory / OUTCOME_LOG, reading=True)) as log:
        data = log.get(position, state.shard)
    if data is None:
        return []
    names = ("account", "intended", "debit", "credit", "bidder")
    return [
        to_json(OUTCOMES, one)
        for one in messages_of(decode(data, OutcomeHeader, OUTCOMES).runs)
        if any(getattr(one, name, None) == account for name in names)
    ]


def summary(clearing: Clearing) -> dict[str, Any]:
    """What a replay arrived at: position, mark, sums and each shard's digest of its books."""
    states = clearing.states
    return {
        "position": clearing.sequence.n,
        "time": format_time(states[0].time),
        "mark": states[0].mark,
        "accounts": sum(int(((s.accounts.owned == 1) & (s.accounts.status != 255)).sum()) - 16 for s in states),
        "open_positions": sum(int((s.pool.quantity[live_rows(s.pool)] != 0).sum()) for s in states),
        "running_auctions": sum(len(s.auctions) for s in states),
        "assets": {
            listed.symbol: {
                "held_for_accounts": format_decimal(
                    sum(int(s.balance[16:, asset].sum()) for s in states), listed.decimals
                )
            }
            for asset, listed in sorted(states[0].facts.assets.items())
        },
        "prices": {
            listed.symbol: format_decimal(states[0].facts.oracle[number][0], 6)
            for number, listed in sorted(states[0].facts.underlyings.items())
            if number in states[0].facts.oracle
        },
        "digests": [digest_of(state).hex() for state in states],
    }
