"""What exists: assets, underlyings, instruments and their life, accounts and their links."""

from __future__ import annotations

from ledger.barred import mark_limited, take_in
from ledger.facts import profile_tables
from ledger.outbox import Outbox
from ledger.room import room_for_account, room_for_asset, room_for_instrument
from ledger.schedule import schedule
from ledger.state import UNOPENED, Life, State
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import InstrumentStatus, Kind, LinkKind, Parameter, Payoff, Reason, Right, Settling, Style
from schemas.limits import (
    BASIS_POINTS,
    MAX_ACCOUNTS,
    MAX_ASSET_PRICE,
    MAX_ASSETS,
    MAX_DECIMALS,
    MAX_EXPIRIES,
    MAX_INSTRUMENTS,
    MAX_PRICE,
    MAX_PROFILES,
    MAX_TIME,
    MAX_UNDERLYINGS,
    MAX_VALUE,
    MICRO,
    UNDERLYING_UNITS,
)
from schemas.outcomes import AccountRegistered


def asset_listed(state: State, event: e.AssetListed, out: Outbox) -> Reason:
    """List an asset; the dollar comes first, as asset 0 of six decimals without a haircut.

    Under COLLATERAL_NOTICE it counts nothing as collateral until that has passed, whatever its haircut says.
    """
    if event.asset >= MAX_ASSETS:
        return Reason.TABLE_FULL
    if event.asset in state.facts.assets:
        return Reason.ASSET_EXISTS
    if event.decimals > MAX_DECIMALS or not 0 <= event.haircut <= BASIS_POINTS:
        return Reason.VALUE_OUT_OF_RANGE
    if event.asset == 0 and (event.decimals != 6 or event.haircut != 0):
        return Reason.INSTRUMENT_INCONSISTENT
    room_for_asset(state, event.asset)
    state.facts.assets[event.asset] = event
    state.market.asset_scale[event.asset] = 10**event.decimals
    state.market.haircut[event.asset] = event.haircut
    if event.asset and (wait := state.parameter(Parameter.COLLATERAL_NOTICE)):
        # by the fold's time: the event's own is its sender's to choose
        state.facts.unproven[event.asset] = state.time + wait
        state.market.haircut[event.asset] = BASIS_POINTS
    if event.asset == 0:
        state.market.asset_price[0] = MICRO
    return Reason.NONE


def underlying_listed(state: State, event: e.UnderlyingListed, out: Outbox) -> Reason:
    """List an underlying with its bounds."""
    if event.underlying >= MAX_UNDERLYINGS:
        return Reason.TABLE_FULL
    if event.underlying in state.facts.underlyings:
        return Reason.UNDERLYING_EXISTS
    if not 0 < event.lowest < event.highest <= MAX_ASSET_PRICE:
        return Reason.PRICE_OUT_OF_RANGE
    if any(event.symbol == listed.symbol for listed in state.facts.underlyings.values()):
        return Reason.UNDERLYING_EXISTS  # profiles name underlyings by symbol
    state.facts.underlyings[event.underlying] = event
    state.profiles = profile_tables(state)
    return Reason.NONE


def _consistent(state: State, event: e.InstrumentListed) -> bool:
    """Whether an instrument's declarations fit each other."""
    settlement = state.facts.assets[event.settlement_asset]
    dated = event.expiry > 0
    option = event.kind == Kind.OPTION
    if (option or event.kind == Kind.FUTURE) != dated:
        return False
    if option != (event.right != Right.NONE) or option != (event.strike > 0):
        return False
    if event.style == Style.PREMIUM and (not option or event.settling == Settling.SETTLED_TO_MARKET):
        return False
    if option and event.payoff == Payoff.INVERSE:
        return False
    if event.kind == Kind.SPOT:
        base = state.facts.assets.get(event.base_asset)
        if base is None or event.base_asset == event.settlement_asset or event.payoff != Payoff.LINEAR:
            return False
        # A lot of the base, in dollars per tick, must be what the settlement asset's smallest units say.
        per_lot, units = event.lot_size * 10**settlement.decimals, 10**base.decimals
        return bool(event.tick_value * event.price_scale * units == per_lot)
    if event.payoff == Payoff.LINEAR:
        per_lot = event.lot_size * 10**settlement.decimals
        return bool(event.tick_value * event.price_scale * UNDERLYING_UNITS == per_lot)
    if event.payoff == Payoff.INVERSE:
        return event.contract_value > 0
    return True


def instrument_listed(state: State, event: e.InstrumentListed, out: Outbox) -> Reason:
    """Know an instrument; it trades from the first mark at or past `effective`."""
    facts = state.facts
    if not 0 < event.instrument < MAX_INSTRUMENTS:
        return Reason.TABLE_FULL
    if event.instrument in facts.instruments:
        return Reason.INSTRUMENT_EXISTS
    if event.underlying not in facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if event.settlement_asset not in facts.assets:
        return Reason.UNKNOWN_ASSET
    if (
        not 0 < event.tick_value <= MAX_VALUE
        or not 0 < event.lot_size <= MAX_VALUE
        or not 0 < event.price_scale <= MICRO
    ):
        return Reason.VALUE_OUT_OF_RANGE
    if event.lot_size * facts.underlyings[event.underlying].highest > MAX_VALUE * UNDERLYING_UNITS:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 <= event.contract_value <= MAX_VALUE or MICRO % event.price_scale:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 <= event.strike <= MAX_PRICE:
        return Reason.PRICE_OUT_OF_RANGE
    if not 0 <= event.expiry <= MAX_TIME or not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    if event.expiry and event.expiry <= max(state.time, event.effective):
        return Reason.INSTRUMENT_EXPIRED
    if not _consistent(state, event):
        return Reason.INSTRUMENT_INCONSISTENT
    buckets = facts.buckets.setdefault(event.underlying, [0])
    if event.expiry not in buckets:
        if 0 < len(buckets) < MAX_EXPIRIES:
            buckets.append(event.expiry)
        elif -1 in buckets:
            buckets[buckets.index(-1)] = event.expiry
        else:
            return Reason.TABLE_FULL
    room_for_instrument(state, event.instrument)
    facts.instruments[event.instrument] = event
    i, m = event.instrument, state.market
    m.kind[i], m.payoff[i], m.style[i], m.settling[i] = event.kind, event.payoff, event.style, event.settling
    m.underlying[i], m.settlement[i], m.base[i] = event.underlying, event.settlement_asset, event.base_asset
    m.bucket[i] = buckets.index(event.expiry)
    m.tick_value[i], m.contract_value[i], m.lot_size[i] = event.tick_value, event.contract_value, event.lot_size
    if event.kind == Kind.SPOT and event.settlement_asset == 0 and m.asset_spot[event.base_asset] < 0:
        m.asset_spot[event.base_asset] = i
    schedule(state, event, event.effective)
    return Reason.NONE


def listing_due(state: State, event: e.InstrumentListed, out: Outbox) -> None:
    """An instrument begins to trade."""
    state.life[event.instrument] = Life.OPEN


def instrument_status_changed(state: State, event: e.InstrumentStatusChanged, out: Outbox) -> Reason:
    """Change an instrument's life from the first mark at or past `effective`."""
    if event.instrument not in state.facts.instruments:
        return Reason.UNKNOWN_INSTRUMENT
    if state.life[event.instrument] in (Life.EXPIRED, Life.SETTLED):
        return Reason.INSTRUMENT_EXPIRED
    if state.life[event.instrument] == Life.DELISTED:
        return Reason.INSTRUMENT_DELISTED
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    if event.effective < state.facts.instruments[event.instrument].effective:
        return Reason.TIME_OUT_OF_RANGE
    schedule(state, event, event.effective)
    return Reason.NONE


def status_due(state: State, event: e.InstrumentStatusChanged, out: Outbox) -> None:
    """An instrument's new status takes effect, unless it ended meanwhile."""
    if state.life[event.instrument] in (Life.OPEN, Life.HALTED, Life.REDUCE_ONLY):
        state.life[event.instrument] = int(InstrumentStatus(event.status))


def index_changed(state: State, event: e.IndexChanged, out: Outbox) -> Reason:
    """Change what an index is made of, from the first mark at or past `effective`."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if event.weight > BASIS_POINTS:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    schedule(state, event, event.effective)
    return Reason.NONE


def index_due(state: State, event: e.IndexChanged, out: Outbox) -> None:
    """An index's new source or weight takes effect."""
    key = (event.underlying, event.source)
    if event.weight:
        state.facts.weights[key] = event.weight
    else:
        state.facts.weights.pop(key, None)


def account_opened(state: State, event: e.AccountOpened, out: Outbox) -> Reason:
    """Open an account; every shard knows of it, its own keeps its books."""
    number = event.account
    if number < FIRST_ACCOUNT:
        return Reason.ACCOUNT_RESERVED
    if number >= MAX_ACCOUNTS:
        return Reason.TABLE_FULL
    if state.exists(number):
        return Reason.ACCOUNT_EXISTS
    if event.profile >= MAX_PROFILES or not state.knows_profile(event.profile):
        return Reason.UNKNOWN_PROFILE
    if event.member in state.facts.defaults:
        return Reason.MEMBER_DEFAULTED
    room_for_account(state, number)
    table = state.accounts
    table.status[number] = 0
    table.segregation[number] = event.segregation
    table.liquidator[number] = 1 if event.liquidator else 0
    table.profile[number] = event.profile
    table.member[number] = event.member
    table.owner[number] = event.owner
    table.name[number] = event.name.encode("utf-8")
    take_in(state, number)
    if table.owned[number]:
        out.emit(AccountRegistered(index=out.index, account=number))
    return Reason.NONE


def account_changed(state: State, event: e.AccountChanged, out: Outbox) -> Reason:
    """Change an account's status or profile from the first mark at or past `effective`."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if event.profile >= MAX_PROFILES or not state.knows_profile(event.profile):
        return Reason.UNKNOWN_PROFILE
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    if (
        state.mark
        and event.effective < state.time + state.parameter(Parameter.NOTICE)
        and (event.profile != state.accounts.profile[event.account])
    ):
        return Reason.PARAMETER_TOO_SOON
    schedule(state, event, event.effective)
    return Reason.NONE


def account_due(state: State, event: e.AccountChanged, out: Outbox) -> None:
    """An account's new status and profile take effect."""
    if state.accounts.status[event.account] != UNOPENED:
        state.accounts.status[event.account] = event.status
        state.accounts.profile[event.account] = event.profile
        if state.accounts.owned[event.account]:
            out.emit(AccountRegistered(index=out.index, account=event.account))


def account_linked(state: State, event: e.AccountLinked, out: Outbox) -> Reason:
    """Tie two accounts together, or end the tie."""
    if not state.exists(event.account) or not state.exists(event.other):
        return Reason.UNKNOWN_ACCOUNT
    if event.account == event.other:
        return Reason.SAME_ACCOUNT
    if event.link == LinkKind.CLIENT and (state.in_default(event.account) or state.in_default(event.other)):
        return Reason.MEMBER_DEFAULTED  # who shares an omnibus is fixed when its member fails
    key = (int(event.link), event.account, event.other)
    if event.removed:
        state.facts.links.pop(key, None)
    else:
        state.facts.links[key] = 1
    if state.facts.owner_limits:
        mark_limited(state)
    if state.accounts.owned[event.account]:
        out.emit(AccountRegistered(index=out.index, account=event.account))
    return Reason.NONE
