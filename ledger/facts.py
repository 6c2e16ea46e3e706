"""What every shard knows alike: parameters, margin profiles, and markets on their way to a mark."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from ledger.oracle import guard_due, judge_market, own_haircut
from ledger.outbox import Outbox
from ledger.schedule import schedule
from ledger.state import State
from risk.profile import MAX_TEXT, Netting, parse_profile
from risk.tables import Profiles
from risk.vectors import on_cache_line
from schemas import events as e
from schemas.defaults import OF_AN_ASSET, OF_AN_UNDERLYING, OF_ANY_ASSET, RANGES
from schemas.events import EVENTS, LINKED
from schemas.kinds import Kind, Parameter, Reason
from schemas.limits import (
    MAX_ASSET_PRICE,
    MAX_PRICE,
    MAX_PROFILES,
    MAX_TIME,
    UNDERLYING_UNITS,
)
from schemas.outcomes import ParameterApplied
from schemas.strict import TomlError
from schemas.wire import Rows, Run

MARKET_ROWS: Final = frozenset({e.InstrumentMark, e.AssetMark, e.UnderlyingMark, e.RiskArray})


# --- parameters and profiles ------------------------------------------------------------------------------------------


def parameter_changed(state: State, event: e.ParameterChanged, out: Outbox) -> Reason:
    """Schedule a parameter's new value, no earlier than the notice period allows once marks have begun."""
    low, high = RANGES[event.parameter]
    if not low <= event.value <= high:
        return Reason.PARAMETER_OUT_OF_RANGE
    if event.parameter in OF_AN_ASSET:
        if event.scope not in state.facts.assets or event.scope == 0:
            return Reason.UNKNOWN_ASSET
    elif event.parameter in OF_ANY_ASSET:
        if event.scope not in state.facts.assets:
            return Reason.UNKNOWN_ASSET
    elif event.parameter in OF_AN_UNDERLYING:
        if event.scope not in state.facts.underlyings:
            return Reason.UNKNOWN_UNDERLYING
    elif event.scope != 0:
        return Reason.UNKNOWN_PARAMETER
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    if state.mark and event.effective < state.time + state.parameter(Parameter.NOTICE):
        return Reason.PARAMETER_TOO_SOON
    schedule(state, event, event.effective)
    return Reason.NONE


def parameter_due(state: State, event: e.ParameterChanged, out: Outbox) -> None:
    """A parameter's new value takes effect."""
    before = state.parameter(event.parameter, event.scope)
    if event.parameter == Parameter.HAIRCUT:
        before = own_haircut(state, event.scope)
        state.market.haircut[event.scope] = event.value  # until `judge_market` adds what age and peg cost
    guard_due(state, event.parameter, event.value)
    state.facts.parameters[(int(event.parameter), event.scope)] = event.value
    if event.parameter == Parameter.BUFFER_GAP:
        state.profiles = profile_tables(state)
    if state.shard == 0:
        out.emit(
            ParameterApplied(
                index=out.index, parameter=event.parameter, scope=event.scope, before=before, after=event.value
            )
        )


def profile_text(state: State, event: e.ProfileText, out: Outbox) -> Reason:
    """Take the next piece of a profile's text."""
    if event.profile >= MAX_PROFILES:
        return Reason.TABLE_FULL
    parts = [] if event.part == 0 else state.facts.profile_parts.get(event.profile, [])
    if event.part != len(parts):
        return Reason.NUMBER_NOT_NEXT
    if sum(map(len, parts)) + len(event.text) > MAX_TEXT:
        return Reason.PROFILE_INVALID
    state.facts.profile_parts[event.profile] = [*parts, event.text]
    return Reason.NONE


def profile_published(state: State, event: e.ProfilePublished, out: Outbox) -> Reason:
    """A profile is whole: check its hash and that it can be read, and schedule it."""
    parts = state.facts.profile_parts.get(event.profile, [])
    text = "".join(parts)
    if not parts or event.parts != len(parts) or hashlib.sha256(text.encode("utf-8")).digest() != event.digest:
        return Reason.PROFILE_INVALID
    try:
        parse_profile(text)
    except TomlError:
        return Reason.PROFILE_INVALID
    known = event.profile in state.facts.profile_texts
    if event.profile >= MAX_PROFILES:
        return Reason.TABLE_FULL
    if state.mark and known and event.effective < state.time + state.parameter(Parameter.NOTICE):
        return Reason.PARAMETER_TOO_SOON
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    del state.facts.profile_parts[event.profile]
    state.facts.profile_pending[(event.profile, event.digest)] = text
    schedule(state, event, event.effective)
    return Reason.NONE


def profile_due(state: State, event: e.ProfilePublished, out: Outbox) -> None:
    """A profile takes effect; its risk arrays come with the market of the same mark."""
    text = state.facts.profile_pending[(event.profile, event.digest)]
    state.facts.profile_texts[event.profile] = text
    state.facts.profiles[event.profile] = parse_profile(text)
    state.profiles = profile_tables(state)


def forget_profiles(state: State) -> None:
    """Drop the texts that no later publication needs: one text may be published again after another."""
    message = EVENTS.by_class[e.ProfilePublished]
    waiting = [
        np.frombuffer(row, message.dtype)[0]
        for _, template, row in state.facts.scheduled
        if template == message.template
    ]
    needed = {(int(row["profile"]), bytes(row["digest"])) for row in waiting}
    pending = state.facts.profile_pending
    state.facts.profile_pending = {key: text for key, text in pending.items() if key in needed}


def profile_tables(state: State) -> Profiles:
    """The kernels' tables of every profile in force; risk arrays stay where the number of scenarios did."""
    old, instruments = state.profiles, len(state.life)
    width = np.zeros_like(old.width)
    netting = np.zeros_like(old.netting)
    gain, initial, buffer = (np.zeros_like(old.gain) for _ in range(3))
    scan, basis, short_option = (np.zeros_like(old.scan) for _ in range(3))
    pairs: list[tuple[int, int, int]] = []
    credit_start, credit_count = np.zeros_like(old.credit_start), np.zeros_like(old.credit_count)
    symbols = {listed.symbol: number for number, listed in state.facts.underlyings.items()}
    for number, profile in sorted(state.facts.profiles.items()):
        width[number] = len(profile.scenarios())
        netting[number] = int(Netting(profile.netting))
        gain[number], initial[number] = profile.gain, profile.initial_ratio
        buffer[number] = profile.buffer + state.parameter(Parameter.BUFFER_GAP)
        for symbol, underlying in symbols.items():
            risk = profile.underlying(symbol)
            scan[number, underlying] = risk.price_scan
            basis[number, underlying] = risk.basis
            short_option[number, underlying] = risk.short_option_minimum
        own = [(symbols[c.a], symbols[c.b], c.rate) for c in profile.credits if c.a in symbols and c.b in symbols]
        credit_start[number], credit_count[number] = len(pairs), len(own)
        pairs.extend(own)
    offset = np.zeros_like(old.offset)
    np.cumsum(width[:-1] * instruments, out=offset[1:])
    losses = on_cache_line(max(1, int(width.sum()) * instruments))
    largest, has_row = np.zeros_like(old.largest), np.zeros_like(old.has_row)
    for number in np.flatnonzero((width == old.width) & (width > 0)).tolist():
        size = int(width[number]) * instruments
        losses[offset[number] : offset[number] + size] = old.losses[old.offset[number] : old.offset[number] + size]
        largest[number] = old.largest[number]
        has_row[number] = old.has_row[number]
    table = np.array(pairs or [(0, 0, 0)], np.int64)
    return Profiles(
        netting=netting,
        gain=gain,
        initial=initial,
        buffer=buffer,
        width=width,
        offset=offset,
        losses=losses,
        has_row=has_row,
        largest=largest,
        scan=scan,
        basis=basis,
        short_option=short_option,
        credit_start=credit_start,
        credit_count=credit_count,
        credit_a=table[:, 0].astype(np.int32),
        credit_b=table[:, 1].astype(np.int32),
        credit_rate=np.ascontiguousarray(table[:, 2]),
    )


# --- markets ----------------------------------------------------------------------------------------------------------


def stage(state: State, run: Run) -> list[tuple[int, Reason]]:
    """Keep a run of market rows until their market is closed; returns the positions in the run that were refused."""
    refused: list[tuple[int, Reason]] = []
    markets = run.rows["market"]
    flags = run.rows["flags"]
    linked = flags & LINKED != 0
    after = np.r_[False, linked[:-1]]
    if linked.any():
        refused.extend((int(i), Reason.NOT_LINKABLE) for i in np.flatnonzero(linked))
        refused.extend((int(i), Reason.LINKED_EVENT_FAILED) for i in np.flatnonzero(after & ~linked))
    for market in dict.fromkeys(int(m) for m in markets):
        mine = np.flatnonzero((markets == market) & ~linked & ~after)
        if not len(mine):
            continue
        if market in state.facts.closed or market <= state.market_number:
            refused.extend((int(i), Reason.MARKET_CLOSED) for i in mine)
            continue
        rows = run.rows if len(mine) == len(markets) else run.rows[mine]
        state.facts.staged.setdefault(market, []).append(Run(run.message, rows))
    return sorted(refused)


def market_closed(state: State, event: e.MarketClosed, out: Outbox) -> Reason:
    """A market is whole: its rows must be those that were counted and hashed, and every number in them known."""
    staged = state.facts.staged.pop(event.market, [])
    if event.market in state.facts.closed or event.market <= state.market_number:
        return Reason.MARKET_CLOSED
    digest = hashlib.sha256()
    for run in staged:
        digest.update(np.ascontiguousarray(run.rows).view(np.uint8).data)
    if sum(len(run.rows) for run in staged) != event.rows or digest.digest() != event.digest:
        return Reason.MARKET_INCOMPLETE
    for run in staged:
        if reason := _bad_rows(state, run):
            return reason
    state.facts.closed[event.market] = staged
    return Reason.NONE


def _bad_rows(state: State, run: Run) -> Reason:
    rows, facts = run.rows, state.facts
    if run.message.cls is e.AssetMark:
        if not {int(a) for a in rows["asset"]} <= facts.assets.keys():
            return Reason.UNKNOWN_ASSET
        in_range = ((rows["price"] > 0) & (rows["price"] <= MAX_ASSET_PRICE)).all()
    elif run.message.cls is e.UnderlyingMark:
        if not {int(u) for u in rows["underlying"]} <= facts.underlyings.keys():
            return Reason.UNKNOWN_UNDERLYING
        highest = np.array([facts.underlyings[int(u)].highest for u in rows["underlying"]], np.int64)
        in_range = ((rows["price"] > 0) & (rows["price"] <= highest)).all()
    else:
        if not {int(i) for i in np.unique(rows["instrument"])} <= facts.instruments.keys():
            return Reason.UNKNOWN_INSTRUMENT
        if run.message.cls is e.InstrumentMark:
            in_range = ((rows["mark"] > 0) & (rows["mark"] <= MAX_PRICE)).all()
            in_range &= (np.abs(rows["delta"].astype(np.float64)) < 2.0**52).all()
        else:
            in_range = (np.abs(rows["losses"].astype(np.float64)) < 2.0**52).all()
            if (rows["profile"] >= MAX_PROFILES).any():
                return Reason.UNKNOWN_PROFILE
    return Reason.NONE if in_range else Reason.PRICE_OUT_OF_RANGE


def activate(state: State, market: int) -> None:
    """Put a closed market in force. What it leaves out keeps its last mark and array and opens no risk meanwhile."""
    m, facts = state.market, state.facts
    p = state.profiles
    m.marked[:] = 0
    p.has_row[:] = 0
    for run in facts.closed[market]:
        rows = run.rows
        if run.message.cls is e.InstrumentMark:
            m.mark[rows["instrument"]] = rows["mark"]
            m.delta[rows["instrument"]] = rows["delta"]
            m.marked[rows["instrument"]] = 1
        elif run.message.cls is e.AssetMark:
            real = rows["asset"] > 0
            m.asset_price[rows["asset"][real]] = rows["price"][real]
        elif run.message.cls is e.UnderlyingMark:
            for underlying, price in zip(rows["underlying"].tolist(), rows["price"].tolist(), strict=True):
                _value_lots(state, underlying, price)
    arrays = [run.rows for run in facts.closed[market] if run.message.cls is e.RiskArray]
    if arrays:
        # One instrument's array may have come in several runs: how they were cut must not show.
        _take_arrays(p, arrays[0] if len(arrays) == 1 else np.concatenate(arrays))
    judge_market(state)
    for older in [number for number in facts.closed if number <= market]:
        del facts.closed[older]
    for older in [number for number in facts.staged if number <= market]:
        del facts.staged[older]
    state.market_number = market


def _value_lots(state: State, underlying: int, price: int) -> None:
    """Dollars of one lot of every instrument on an underlying, micro-dollars rounded up."""
    for number, listed in state.facts.instruments.items():
        if listed.underlying == underlying:
            unit = UNDERLYING_UNITS
            if listed.kind == Kind.SPOT:
                unit = 10 ** state.facts.assets[listed.base_asset].decimals
            state.market.notional[number] = -(-listed.lot_size * price // unit)


def _take_arrays(p: Profiles, rows: Rows) -> None:
    order = np.lexsort((rows["first"], rows["instrument"], rows["profile"]))
    keys = rows["profile"][order].astype(np.int64) << 32 | rows["instrument"][order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]).tolist()
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        group = order[begin:end]
        profile, instrument = int(rows["profile"][group[0]]), int(rows["instrument"][group[0]])
        width = int(p.width[profile])
        if not width or rows["first"][group].tolist() != list(range(0, -(-width // 16) * 16, 16)):
            continue
        losses = np.concatenate([rows["losses"][i] for i in group])[:width]
        at = int(p.offset[profile]) + instrument * width
        p.losses[at : at + width] = losses
        p.largest[profile, instrument] = int(np.abs(losses).max())
        p.has_row[profile, instrument] = 1
