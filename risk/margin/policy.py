"""Profiles as text: the header every profile states, overrides laid over it, its hash, and the model it names."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from risk.margin.ageing import read_ages, with_ages
from risk.margin.answer import AddOn, Assessment, CollateralAnswer, buffer_of
from risk.margin.book import Holding, Kind, Market, Portfolio
from risk.margin.catalogue import MODELS, OWN_ORDERS
from risk.margin.exact import Fact, Number, total
from risk.margin.model import Assess, Calculator, Header, Make, MarginPeriod
from risk.margin.orders import with_orders
from risk.margin.valuing import NotInMarket
from schemas.strict import (
    Fault,
    Table,
    TomlError,
    at,
    day_of,
    only,
    real_of,
    table_of,
    text_of,
    value_of,
    whole_of,
)

MAX_TEXT: Final = 1 << 17
"""characters of a profile, and of its overrides"""
HEADER: Final = (
    "name",
    "published",
    "source",
    "description",
    "model",
    "confidence",
    "margin_period",
    "lookback",
    "collateral",
    "buffer",
    "ages",
)
"""the keys that every profile has (`ages` may be left out); all others are its model's"""
MOST_HOURS: Final = 2_160.0
NOT_ACCEPTED: Final = "collateral not accepted"
BUFFER_FLOOR: Final = "up to maintenance and buffer"
BUFFER_ROOM: Final = "room for the buffer"


def calculator(text: str, overrides: str | Table = "", models: Mapping[str, Make] = MODELS) -> Calculator:
    """A profile ready to be asked: its TOML text with `overrides` (TOML, or the table itself) laid over it.

    Tables are merged key by key; everything else, arrays of scenarios included, is replaced whole, and so is a table
    whose `kind` changes, for the keys of one kind are not those of another. Every Assessment it gives keeps two rules,
    whatever the model: initial >= maintenance + buffer, and collateral the profile does not accept counts nothing.
    Pending orders are in the initial margin as `risk.margin.orders` says, unless the model sees to them itself.
    Raises TomlError at the first thing that is wrong, with its path.
    """
    over = _table(overrides, "overrides") if isinstance(overrides, str) else _plain(overrides, "")
    whole = merged(_table(text, "profile"), over)
    header = read_header(whole)
    make = models.get(header.model)
    if make is None:
        raise TomlError(Fault.UNKNOWN_KIND, "model", f"{header.model!r}; known are {', '.join(sorted(models))}")
    assess = make({key: value for key, value in whole.items() if key not in HEADER}, header)
    return Calculator(header, digest(text, over), with_ages(_ruled(assess, header), read_ages(whole)))


def read_header(whole: Table) -> Header:
    """What every profile states. Raises TomlError."""
    period = table_of(whole, "", "margin_period")
    only(period, "margin_period", ("detection", "auction", "settlement_delay"))
    confidence = real_of(whole, "", "confidence", 0.5, 1.0)
    if confidence == 1.0:
        raise TomlError(Fault.OUT_OF_RANGE, "confidence", "no margin covers every loss: it is below 1")
    return Header(
        name=text_of(whole, "", "name"),
        published=day_of(whole, "", "published"),
        source=text_of(whole, "", "source", most=1_000),
        description=text_of(whole, "", "description", most=4_000),
        model=text_of(whole, "", "model"),
        confidence=confidence,
        period=MarginPeriod(
            detection=real_of(period, "margin_period", "detection", 0.0, MOST_HOURS),
            auction=real_of(period, "margin_period", "auction", 0.0, MOST_HOURS),
            settlement_delay=real_of(period, "margin_period", "settlement_delay", 0.0, MOST_HOURS),
        ),
        lookback=whole_of(whole, "", "lookback", 0, 100_000),
        collateral=_assets(whole),
        buffer=real_of(whole, "", "buffer", 0.0, 1.0),
    )


def merged(base: Table, over: Table) -> dict[str, Any]:
    """`base` with `over` laid over it, as `calculator` says; neither is changed."""
    whole = dict(base)
    for key, value in over.items():
        here = base.get(key)
        if (
            isinstance(here, dict)
            and isinstance(value, dict)
            and value.get("kind", here.get("kind")) == here.get("kind")
        ):
            whole[key] = merged(here, value)
        else:
            whole[key] = value
    return whole


def digest(text: str, over: Table) -> str:
    """SHA-256, hex, of the text; with overrides, of the text, a zero byte and the overrides as JSON with sorted keys,
    so that one change has one hash, however it was written down."""
    told = hashlib.sha256(text.encode("utf-8"))
    if over:
        told.update(b"\0" + json.dumps(over, sort_keys=True, separators=(",", ":"), default=_normal).encode("utf-8"))
    return told.hexdigest()


def _normal(value: object) -> str:
    """A decimal's one spelling; days and times, which no profile has, as they are written."""
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


def _table(text: str, what: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        raise TomlError(Fault.TOO_LONG, "", f"{what} of {len(text)} characters, at most {MAX_TEXT}")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise TomlError(Fault.NOT_TOML, "", f"{what}: {error}") from None


def _plain(value: Any, path: str) -> Any:
    """Overrides that come from a program or from JSON, as TOML would have given them: no floats, nothing empty."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one, at(path, str(key))) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, f"{path}[{number}]") for number, one in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TomlError(Fault.OUT_OF_RANGE, path, f"{value} is no number")
        return Decimal(repr(value))
    if isinstance(value, bool | int | str | Decimal):
        return value
    raise TomlError(Fault.WRONG_TYPE, path, f"{type(value).__name__} is nothing a profile holds")


def _assets(whole: Table) -> tuple[str, ...]:
    values = value_of(whole, "", "collateral")
    if not isinstance(values, list):
        raise TomlError(Fault.WRONG_TYPE, "collateral", "not an array")
    return tuple(text_of({str(n): one}, "collateral", str(n), most=32) for n, one in enumerate(values))


def _ruled(assess: Assess, header: Header) -> Assess:
    """The model under the rules that hold for all of them."""
    own = header.model in OWN_ORDERS

    def ruled(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        kept, refused = _sorted_out(portfolio, market, header)
        told = assess(kept, market, fact) if own else with_orders(assess, kept, market, fact)
        if refused:
            told = _with_refused(told, refused, market, fact)
        least = told.maintenance + buffer_of(told, fact(header.buffer))
        if told.initial >= least:
            return told
        if told.initial >= total(one.haircut for one in told.collateral) and _only_long_options(kept):
            # such a book can lose its value and no more, which the initial margin has: the maintenance margin gives way
            haircut = total(one.haircut_maintenance for one in told.collateral)
            lower = haircut + (told.initial - haircut) / (1 + fact(header.buffer))
            room = AddOn(BUFFER_ROOM, fact(0.0), lower - told.maintenance)
            return replace(told, maintenance=lower, add_ons=(*told.add_ons, room))
        floor = AddOn(BUFFER_FLOOR, least - told.initial, fact(0.0))
        return replace(told, initial=least, add_ons=(*told.add_ons, floor))

    return ruled


def _only_long_options(portfolio: Portfolio) -> bool:
    held = portfolio.positions
    longs = all(one.instrument.kind == Kind.OPTION and one.quantity > 0 for one in held)
    return bool(held) and longs and not portfolio.orders


def _sorted_out(portfolio: Portfolio, market: Market, header: Header) -> tuple[Portfolio, tuple[Holding, ...]]:
    """The portfolio with what counts, and the holdings that do not; a holding of the settlement asset is cash."""
    cash, kept, refused = portfolio.cash, list[Holding](), list[Holding]()
    for one in portfolio.collateral:
        if one.asset == market.settlement:
            cash += one.amount
        else:
            (kept if not header.collateral or one.asset in header.collateral else refused).append(one)
    return replace(portfolio, cash=cash, collateral=tuple(kept)), tuple(refused)


def _with_refused(told: Assessment, refused: tuple[Holding, ...], market: Market, fact: Fact) -> Assessment:
    """Equity counts collateral whole, so what is not accepted is worth its value there and is charged as much."""
    answers = []
    owned: Number = fact(0.0)
    whole: Number = fact(0.0)
    for one in refused:
        quote = market.assets.get(one.asset)
        if quote is None:
            raise NotInMarket(f"assets.{one.asset} is not in the market")
        value: Number = Fraction(one.amount) * fact(quote.price / market.settlement_price)
        owned = owned + value
        charged = max(value, fact(0.0))  # a debt in it stays owed
        whole = whole + charged
        answers.append(CollateralAnswer(one.asset, value, charged, charged))
    return replace(
        told,
        initial=told.initial + whole,
        maintenance=told.maintenance + whole,
        equity=told.equity + owned,
        add_ons=(*told.add_ons, AddOn(NOT_ACCEPTED, whole, whole)),
        collateral=(*told.collateral, *answers),
        notes=(*told.notes, f"not accepted as collateral: {', '.join(one.asset for one in refused)}"),
    )
