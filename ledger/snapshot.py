"""A shard's whole state as bytes, with their SHA-256: what recovery starts from and what an auditor must meet.

The form is canonical: positions by account and instrument, dictionaries in order, tables cut to what is in use. What
is derived (margins, the orders' tables) is left out. `books` is the same without n, so equal books have equal bytes
however their events were batched.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insurance.backers import Request
from insurance.policy import InForce, Rank
from ledger.barred import mark_limited
from ledger.room import room_for_asset, room_for_positions
from ledger.state import (
    Accounts,
    Auction,
    Facts,
    Order,
    Portfolio,
    Reservation,
    State,
    Withdrawal,
    genesis,
    live_rows,
)
from risk.profile import parse_profile
from risk.tables import I32Array, Market, Profiles
from schemas.events import EVENTS, AssetListed, InstrumentListed, UnderlyingListed
from schemas.kinds import WaterfallLayer
from schemas.wire import Run, message_of, rows_of

MAGIC: Final = b"novate snapshot 1\n"
_ACCOUNTS: Final = tuple(name for name in Accounts._fields if name not in ("stamp", "limited", "limited_in"))
_POSITIONS: Final = ("instrument", "quantity", "cost", "funding", "realised")


class SnapshotBroken(ValueError):  # noqa: N818 - named for what is found
    """Bytes that are no snapshot, or not the one their digest says."""

    def __init__(self, what: str) -> None:
        super().__init__(f"snapshot broken: {what}")
        self.what = what


def digest_of(state: State) -> bytes:
    """SHA-256 of the shard's whole state."""
    return hashlib.sha256(_body(state, with_n=True)).digest()


def books(state: State) -> bytes:
    """SHA-256 of the state without n: equal for the same events in whatever batches."""
    return hashlib.sha256(_body(state, with_n=False)).digest()


def dump(state: State) -> bytes:
    """The snapshot file: magic, SHA-256 of the body, body."""
    body = _body(state, with_n=True)
    return MAGIC + hashlib.sha256(body).digest() + body


def load(data: bytes, shard_of: I32Array | None = None) -> State:
    """The state a snapshot holds. Raises SnapshotBroken where a byte of it is not what was written."""
    start = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC or len(data) < start + 8:
        raise SnapshotBroken("it does not begin like one")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) : start]:
        raise SnapshotBroken("its SHA-256 is not the one it states")
    length = int.from_bytes(body[:8], "little")
    told = json.loads(body[8 : 8 + length])
    arrays: dict[str, npt.NDArray[Any]] = {}
    at = 8 + length
    for name, dtype, shape in told["arrays"]:
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(body, kind, count, at).reshape(shape).copy()
        at += count * kind.itemsize
    return _restored(told, arrays, shard_of)


def _body(state: State, *, with_n: bool) -> bytes:
    arrays = _arrays(state)
    told = {
        "shard": state.shard,
        "shards": state.shards,
        "n": state.n if with_n else 0,
        "time": state.time,
        "mark": state.mark,
        "answered": state.answered,
        "market": state.market_number,
        "facts": facts_told(state.facts),
        "orders": [
            [a, n, o.instrument, o.quantity, o.price]
            for a, book in sorted(state.orders.items())
            for n, o in sorted(book.items())
        ],
        "reservations": [
            [a, *key.told(), o.instrument, o.quantity, o.price]
            for a, book in sorted(state.reservations.items())
            for key, o in sorted(book.items())
        ],
        "auctions": [[n, *a.told()] for n, a in sorted(state.auctions.items())],
        "called_down": [[i, lots] for i, lots in sorted(state.called_down.items())],
        "requested": [[*key, w.asset, w.amount] for key, w in state.requested.items()],
        "approved": [[*key, w.asset, w.amount] for key, w in sorted(state.approved.items())],
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()],
    }
    if state.gains:
        told["gains"] = [[*key, gain] for key, gain in sorted(state.gains.items())]
    if state.paid_for:
        told["paid_for"] = sorted(state.paid_for)
    head = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *(a.tobytes() for a in arrays.values())])


def _arrays(state: State) -> dict[str, npt.NDArray[Any]]:
    opened = np.flatnonzero(state.accounts.status != 255)
    accounts = int(opened[-1]) + 1
    pool = state.pool
    rows = live_rows(pool, accounts)
    arrays: dict[str, npt.NDArray[Any]] = {"positions.count": pool.count[:accounts]}
    for name in _POSITIONS:
        arrays[f"positions.{name}"] = getattr(pool, name)[rows]
    for name in _ACCOUNTS:
        arrays[f"accounts.{name}"] = getattr(state.accounts, name)[:accounts]
    arrays["balance"] = state.balance[:accounts]
    for name in Market._fields:
        arrays[f"market.{name}"] = getattr(state.market, name)
    for name in Profiles._fields:
        arrays[f"profiles.{name}"] = getattr(state.profiles, name)
    arrays |= {"life": state.life, "net": state.net}
    return arrays


def _row(event: Any) -> str:
    return rows_of(EVENTS.by_class[type(event)], [event]).tobytes().hex()


def _merged(markets: dict[int, list[Run]]) -> list[list[Any]]:
    """Markets' rows with neighbouring runs of one template joined: how they were cut does not show."""
    out: list[list[Any]] = []
    for market, runs in sorted(markets.items()):
        joined: list[list[Any]] = []
        for run in runs:
            data = np.ascontiguousarray(run.rows).tobytes().hex()
            if joined and joined[-1][0] == run.message.template:
                joined[-1][1] += data
            else:
                joined.append([run.message.template, data])
        out.append([market, joined])
    return out


def facts_told(f: Facts) -> dict[str, Any]:
    """The facts in their canonical form, for JSON. What only a guard needs is there only while it is switched on."""
    guarded: dict[str, Any] = {
        "policy": [f.policy.number, f.policy.since, f.policy.digest.hex(), f.policy.ranks] if f.policy else [],
        "policy_rows": [[k, v] for k, v in sorted(f.policy_rows.items())],
        "policy_pending": [[k[0], k[1].hex(), v] for k, v in sorted(f.policy_pending.items())],
        "drawn": [[*k, v] for k, v in sorted(f.drawn.items())],
        "parts_of_members": [[*k, v] for k, v in sorted(f.parts.items())],
        "units": [[*k, v] for k, v in sorted(f.units.items())],
        "requests": [[at, *one] for at, one in f.requests],
        "feeds": [[*k, *v] for k, v in sorted(f.feeds.items())],
        "uncertainty": [[k, v] for k, v in sorted(f.uncertainty.items())],
        "heard": [[*k, v] for k, v in sorted(f.heard.items())],
        "portfolios": [
            [n, p.account, p.mark, p.closes, p.reserve, [list(lot) for lot in p.lots.items()]]
            for n, p in sorted(f.portfolios.items())
        ],
        "portfolio_lots": [[n, sorted(lots.items())] for n, lots in sorted(f.portfolio_lots.items())],
        "backstops": sorted(f.backstops.items()),
        "withdrawals_held": f.withdrawals_held,
        "unproven": [[k, v] for k, v in sorted(f.unproven.items())],
        "defaults": [[k, *v] for k, v in sorted(f.defaults.items())],
        "breakers": [[k, *v] for k, v in sorted(f.breakers.items())],
        "owner_limits": [[*k, v] for k, v in sorted(f.owner_limits.items())],
        "price_breakers": [[k, *v] for k, v in sorted(f.price_breakers.items())],
    }
    return {name: told for name, told in guarded.items() if told} | {
        "assets": [_row(x) for _, x in sorted(f.assets.items())],
        "underlyings": [_row(x) for _, x in sorted(f.underlyings.items())],
        "instruments": [_row(x) for _, x in sorted(f.instruments.items())],
        "parameters": [[*k, v] for k, v in sorted(f.parameters.items())],
        "profiles": [[k, v] for k, v in sorted(f.profile_texts.items())],
        "pending": [[k[0], k[1].hex(), v] for k, v in sorted(f.profile_pending.items())],
        "parts": [[k, v] for k, v in sorted(f.profile_parts.items())],
        "scheduled": [[t, template, row.hex()] for t, template, row in f.scheduled],
        "oracle": [[k, *v] for k, v in sorted(f.oracle.items())],
        "sources": [[*k, v] for k, v in sorted(f.sources.items())],
        "weights": [[*k, v] for k, v in sorted(f.weights.items())],
        "forwards": [[*k, v] for k, v in sorted(f.forwards.items())],
        "volatilities": [[*k, sorted(v.items())] for k, v in sorted(f.volatilities.items())],
        "asset_prices": [[k, v] for k, v in sorted(f.asset_prices.items())],
        "settlements": [[*k, v] for k, v in sorted(f.settlements.items())],
        "buckets": [[k, v] for k, v in sorted(f.buckets.items())],
        "staged": _merged(f.staged),
        "closed": _merged(f.closed),
        "links": [[*k, v] for k, v in sorted(f.links.items())],
    }


def _event(kind: type[Any], row: str) -> Any:
    message = EVENTS.by_class[kind]
    return message_of(message, np.frombuffer(bytes.fromhex(row), message.dtype)[0])


def _split(markets: list[list[Any]]) -> dict[int, list[Run]]:
    out: dict[int, list[Run]] = {}
    for market, runs in markets:
        out[market] = []
        for template, data in runs:
            message = EVENTS.by_template[template]
            out[market].append(Run(message, np.frombuffer(bytes.fromhex(data), message.dtype)))
    return out


def _ranks(told: list[list[int]]) -> tuple[Rank, ...]:
    return tuple(Rank(WaterfallLayer(layer), share, amount) for layer, share, amount in told)


def _policy(told: list[Any] | None) -> InForce | None:
    if not told:
        return None
    number, since, digest, ranks = told
    return InForce(number, since, bytes.fromhex(digest), _ranks(ranks))


def _restored_facts(t: dict[str, Any]) -> Facts:
    assets = [_event(AssetListed, x) for x in t["assets"]]
    underlyings = [_event(UnderlyingListed, x) for x in t["underlyings"]]
    instruments = [_event(InstrumentListed, x) for x in t["instruments"]]
    return Facts(
        assets={x.asset: x for x in assets},
        underlyings={x.underlying: x for x in underlyings},
        instruments={x.instrument: x for x in instruments},
        parameters={(a, b): v for a, b, v in t["parameters"]},
        profiles={k: parse_profile(v) for k, v in t["profiles"]},
        profile_texts=dict(t["profiles"]),
        profile_pending={(a, bytes.fromhex(b)): v for a, b, v in t["pending"]},
        profile_parts=dict(t["parts"]),
        scheduled=[(a, b, bytes.fromhex(c)) for a, b, c in t["scheduled"]],
        oracle={k: (a, b) for k, a, b in t["oracle"]},
        sources={(a, b): v for a, b, v in t["sources"]},
        feeds={(a, b): (p, bid, ask, at) for a, b, p, bid, ask, at in t.get("feeds", [])},
        uncertainty=dict(t.get("uncertainty", [])),
        heard={(a, b, c): v for a, b, c, v in t.get("heard", [])},
        weights={(a, b): v for a, b, v in t["weights"]},
        forwards={(a, b): v for a, b, v in t["forwards"]},
        volatilities={(a, b): dict(v) for a, b, v in t["volatilities"]},
        asset_prices=dict(t["asset_prices"]),
        settlements={(a, b, c): v for a, b, c, v in t["settlements"]},
        buckets=dict(t["buckets"]),
        staged=_split(t["staged"]),
        closed=_split(t["closed"]),
        policy=_policy(t.get("policy")),
        policy_rows={k: _ranks(v) for k, v in t.get("policy_rows", [])},
        policy_pending={(k, bytes.fromhex(digest)): _ranks(v) for k, digest, v in t.get("policy_pending", [])},
        drawn={(a, b, c): v for a, b, c, v in t.get("drawn", [])},
        parts={(a, b): v for a, b, v in t.get("parts_of_members", [])},
        units={(a, b): v for a, b, v in t.get("units", [])},
        requests=[(at, Request(*one)) for at, *one in t.get("requests", [])],
        links={(a, b, c): v for a, b, c, v in t["links"]},
        portfolios={
            n: Portfolio(account, mark, closes, reserve, dict(lots))
            for n, account, mark, closes, reserve, lots in t.get("portfolios", [])
        },
        portfolio_lots={n: dict(lots) for n, lots in t.get("portfolio_lots", [])},
        backstops=dict(t.get("backstops", [])),
        withdrawals_held=t.get("withdrawals_held", 0),
        unproven=dict(t.get("unproven", [])),
        defaults={k: (at, until, settled) for k, at, until, settled in t.get("defaults", [])},
        breakers={k: (a, b) for k, a, b in t.get("breakers", [])},
        owner_limits={(a, b): v for a, b, v in t.get("owner_limits", [])},
        price_breakers={k: (a, b) for k, a, b in t.get("price_breakers", [])},
    )


def _restored(told: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], shard_of: I32Array | None) -> State:
    accounts = len(arrays["balance"])
    # As wide as the table of shards: whose a number is must not depend on whether it was opened.
    wide = max(accounts, 0 if shard_of is None else len(shard_of))
    state = genesis(told["shard"], told["shards"], shard_of, accounts=wide)
    count = arrays["positions.count"]
    held = int(count.sum())
    if arrays["balance"].shape[1] > state.balance.shape[1]:
        room_for_asset(state, arrays["balance"].shape[1] - 1)
    room_for_positions(state, max(64, 2 * held))
    table = state.account_rows
    table["count"][:accounts] = table["capacity"][:accounts] = count
    table["start"][1:accounts] = np.cumsum(count[: accounts - 1])
    for name in _POSITIONS:
        state.position_rows[name][:held] = arrays[f"positions.{name}"]
    state.used = held
    for name in _ACCOUNTS:
        getattr(state.accounts, name)[:accounts] = arrays[f"accounts.{name}"]
    state.balance[:accounts, : arrays["balance"].shape[1]] = arrays["balance"]
    state.market = Market(**{name: arrays[f"market.{name}"] for name in Market._fields})
    state.profiles = Profiles(**{name: arrays[f"profiles.{name}"] for name in Profiles._fields})
    state.life, state.net = arrays["life"], arrays["net"]
    state.position_total = np.zeros(len(state.life), np.int64)
    state.n, state.time, state.mark, state.market_number = told["n"], told["time"], told["mark"], told["market"]
    state.answered = told["answered"]
    state.facts = _restored_facts(told["facts"])
    mark_limited(state)
    for account, number, instrument, quantity, price in told["orders"]:
        state.orders.setdefault(account, {})[number] = Order(instrument, quantity, price)
    for account, *key, instrument, quantity, price in told["reservations"]:
        state.reservations.setdefault(account, {})[Reservation(*key)] = Order(instrument, quantity, price)
    for number, *rest in told["auctions"]:
        state.auctions[number] = Auction(*rest)
    state.called_down = dict(told["called_down"])
    state.gains = {(account, asset): gain for account, asset, gain in told.get("gains", [])}
    state.paid_for = set(told.get("paid_for", []))
    for account, number, asset, amount in told["requested"]:
        state.requested[(account, number)] = Withdrawal(asset, amount)
    for account, number, asset, amount in told["approved"]:
        state.approved[(account, number)] = Withdrawal(asset, amount)
    return state
