"""From the calculator's JSON to its plain data: every fault named with a code and its place in the request."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from risk.collateral.pools import Pool
from risk.collateral.staked import Bond
from risk.margin.book import (
    AssetQuote,
    Expiry,
    History,
    Holding,
    Instrument,
    Kind,
    Market,
    Order,
    Portfolio,
    Position,
    Strike,
    Svi,
    Underlying,
)
from risk.margin.valuing import Expired, NotInMarket, quoted
from risk.volatility import YEAR
from services.margin_forms import (
    AnyOrder,
    AnyPosition,
    AssetForm,
    ExpiryForm,
    FutureForm,
    FutureOrderForm,
    HistoryForm,
    MarketForm,
    OptionForm,
    OptionOrderForm,
    PortfolioForm,
    StrikeForm,
    SviForm,
    UnderlyingForm,
)

PORTFOLIO: Final = "$.portfolio"
MARKET: Final = "$.market"
MOST_INTEREST: Final = 20.0
"""rate x years to an expiry, either way: past it discount factors mean nothing"""
_CODES: Final = {
    "extra_forbidden": "UnknownKey",
    "missing": "Missing",
    "union_tag_not_found": "Missing",
    "union_tag_invalid": "UnknownKind",
    "literal_error": "UnknownKind",
    "string_pattern_mismatch": "OutOfRange",
    "string_too_short": "OutOfRange",
    "string_too_long": "OutOfRange",
    "too_short": "OutOfRange",
}
"""of what pydantic names; a fault with a name in capitals is our own, all else is a wrong type"""
_Form = TypeVar("_Form", bound=BaseModel)


class BadInput(ValueError):  # noqa: N818 - named for what is found
    """A request that cannot be answered: a code for programs, what is wrong, and where ($ is the whole request)."""

    def __init__(self, code: str, message: str, path: str) -> None:
        super().__init__(f"{path}: {message}")
        self.code = code
        self.message = message
        self.path = path


def parsed(text: str | bytes, path: str) -> Any:
    """JSON with numbers as exact decimals. NaN and Infinity are kept, so that their place is found. Raises BadInput."""
    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=lambda pairs: _object(pairs, path))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInput("NotJson", str(error), path) from None
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("NotJson", str(error), path) from None


def read_portfolio(data: object, market: Market) -> Portfolio:
    """portfolio.json, parsed, against the market that is to price it. Raises BadInput."""
    form = _read(PortfolioForm, data, PORTFOLIO)
    portfolio = Portfolio(
        form.account,
        Fraction(form.cash),
        tuple(Holding(one.asset, Fraction(one.amount)) for one in form.collateral),
        tuple(_position(one, f"{PORTFOLIO}.positions[{n}]") for n, one in enumerate(form.positions)),
        tuple(Order(_instrument(one), Fraction(one.quantity), Fraction(one.price)) for one in form.orders),
        form.owner,
    )
    seen: set[str] = set()
    for number, holding in enumerate(portfolio.collateral):
        path = f"{PORTFOLIO}.collateral[{number}].asset"
        if holding.asset != market.settlement and holding.asset not in market.assets:
            raise BadInput("NotInMarket", f"assets.{holding.asset} is not in the market", path)
        if holding.asset in seen:
            raise BadInput("Twice", f"{holding.asset} stands twice", path)
        seen.add(holding.asset)
    for number, position in enumerate(portfolio.positions):
        _priced(position.instrument, market, f"{PORTFOLIO}.positions[{number}]")
    for number, order in enumerate(portfolio.orders):
        _priced(order.instrument, market, f"{PORTFOLIO}.orders[{number}]")
    return portfolio


def read_market(data: object) -> Market:
    """market.json, parsed. Raises BadInput."""
    form = _read(MarketForm, data, MARKET)
    for symbol, asset in form.assets.items():
        if asset.offsets is not None and asset.offsets not in form.underlyings:
            path = f"{_step(f'{MARKET}.assets', symbol)}.offsets"
            raise BadInput("NotInMarket", f"underlyings.{asset.offsets} is not in the market", path)
        if asset.pool is not None and asset.offsets is None:
            path = f"{_step(f'{MARKET}.assets', symbol)}.offsets"
            raise BadInput("Missing", "a pool's base coin is the underlying that it offsets", path)
    return Market(
        form.time,
        form.settlement.asset,
        float(form.settlement.price),
        {
            symbol: _underlying(one, form.time, _step(f"{MARKET}.underlyings", symbol))
            for symbol, one in form.underlyings.items()
        },
        {symbol: _asset(one) for symbol, one in form.assets.items()},
        _correlations(form.correlations),
        None if form.history is None else _history(form.history),
        float(form.correlations_age),
    )


def _object(pairs: Sequence[tuple[str, Any]], path: str) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadInput("Twice", f"the key {twice[:64]!r} stands twice in one object", path)
    return told


def _read(form: type[_Form], data: object, path: str) -> _Form:
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        code = str(first["type"])
        named = code if code[0].isupper() else _CODES.get(code, "WrongType")
        raise BadInput(
            named, first["msg"], _place(data, first["loc"], path, of_type=code.startswith("union_tag"))
        ) from None


def _place(data: object, location: Sequence[str | int], path: str, *, of_type: bool) -> str:
    """The location as a path: without the names of forms that pydantic puts between the keys."""
    here: Any = data
    for number, key in enumerate(location):
        last = number == len(location) - 1
        inside = (isinstance(here, list) and isinstance(key, int)) or (isinstance(here, dict) and key in here)
        if key == "[key]" or not (inside or last):
            continue
        path = _step(path, key)
        here = here[key] if inside else None
    return f"{path}.type" if of_type else path


def _step(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else f'{path}["{key[:64]}"]'


def _instrument(form: AnyPosition | AnyOrder) -> Instrument:
    if isinstance(form, OptionForm | OptionOrderForm):
        return Instrument(Kind.OPTION, form.underlying, form.expiry, float(form.strike), form.right == "C")
    if isinstance(form, FutureForm | FutureOrderForm):
        return Instrument(Kind.FUTURE, form.underlying, form.expiry)
    return Instrument(Kind.PERP, form.underlying)


def _position(form: AnyPosition, path: str) -> Position:
    if isinstance(form, OptionForm):
        return Position(_instrument(form), Fraction(form.quantity))
    if form.entry_price is not None and form.unrealised_pnl:
        raise BadInput("Both", "entry_price and unrealised_pnl: one of the two is used", f"{path}.unrealised_pnl")
    entry = None if form.entry_price is None else Fraction(form.entry_price)
    return Position(
        _instrument(form), Fraction(form.quantity), entry, Fraction(form.unrealised_pnl), Fraction(form.funding)
    )


def _priced(instrument: Instrument, market: Market, path: str) -> None:
    """That the market has a price and, for an option, a usable volatility."""
    try:
        leg = quoted(instrument, market)
    except Expired as error:
        raise BadInput("Expired", str(error), f"{path}.expiry") from None
    except NotInMarket as error:
        known = instrument.underlying in market.underlyings
        raise BadInput("NotInMarket", str(error), f"{path}.{'expiry' if known else 'underlying'}") from None
    if instrument.kind == Kind.OPTION and not (math.isfinite(leg.volatility) and leg.volatility > 0.0):
        raise BadInput("OutOfRange", f"volatility {leg.volatility} at strike {instrument.strike}", f"{path}.strike")


def _underlying(form: UnderlyingForm, time: int, path: str) -> Underlying:
    expiries: dict[int, Expiry] = {}
    for number, one in enumerate(form.expiries):
        here = f"{path}.expiries[{number}]"
        if one.expiry <= time:
            raise BadInput("Expired", "the expiry is not after the market's time", f"{here}.expiry")
        if one.expiry in expiries:
            raise BadInput("Twice", "the expiry stands twice", f"{here}.expiry")
        if expiries and one.expiry < max(expiries):
            raise BadInput("Unsorted", "expiries ascend", f"{here}.expiry")
        if abs(float(one.rate)) * (one.expiry - time) / YEAR > MOST_INTEREST:
            raise BadInput("OutOfRange", f"at {one.rate} a year money grows past e^{MOST_INTEREST:g}", f"{here}.rate")
        expiries[one.expiry] = _expiry(one, here)
    return Underlying(
        spot=float(form.spot),
        confidence=float(form.confidence),
        perp=None if form.perp is None else float(form.perp.price),
        perp_confidence=1.0 if form.perp is None else float(form.perp.confidence),
        expiries=expiries,
        age=float(form.age),
        gap=float(form.gap),
    )


def _expiry(form: ExpiryForm, path: str) -> Expiry:
    if form.svi is not None and form.volatilities is not None:
        raise BadInput("Both", "svi and volatilities: one of the two is used", f"{path}.volatilities")
    smile: Svi | Mapping[float, float] = {}
    if form.svi is not None:
        smile = _svi(form.svi, f"{path}.svi")
    elif form.volatilities is not None:
        smile = _strikes(form.volatilities, f"{path}.volatilities")
    return Expiry(
        time=form.expiry,
        forward=float(form.forward),
        rate=float(form.rate),
        confidence=float(form.confidence),
        rate_confidence=float(form.rate_confidence),
        volatility_confidence=float(form.volatility_confidence),
        smile=smile,
        strikes=_liquid({} if form.strikes is None else form.strikes, f"{path}.strikes"),
        curve_age=float(form.curve_age),
        surface_age=float(form.surface_age),
    )


def _svi(form: SviForm, path: str) -> Svi:
    told = Svi(**{name: float(value) for name, value in form})
    least = told.a + told.b * told.sigma * math.sqrt(1.0 - told.rho * told.rho)
    if least < 0.0 or told.a + told.b * told.sigma <= 0.0:
        raise BadInput("OutOfRange", f"total variance falls to {least:g}", f"{path}.a")
    return told


def _strikes(volatilities: Mapping[str, Decimal], path: str) -> dict[float, float]:
    told: dict[float, float] = {}
    for key, volatility in volatilities.items():
        strike = _strike(key, told, _step(path, key))
        told[strike] = float(volatility)
    if not told:
        raise BadInput("Missing", "no strike", path)
    return told


def _strike(key: str, before: Mapping[float, Any], path: str) -> float:
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,12})?", key) or float(key) <= 0.0:
        raise BadInput("NotANumber", "a strike is a number above 0", path)
    strike = float(key)
    if before and strike <= max(before):
        raise BadInput("Twice" if strike in before else "Unsorted", "strikes ascend", path)
    return strike


def _liquid(forms: Mapping[str, StrikeForm], path: str) -> dict[float, Strike]:
    told: dict[float, Strike] = {}
    for key, one in forms.items():
        strike = _strike(key, told, _step(path, key))
        told[strike] = Strike(_real(one.open_interest), float(one.spread))
    return told


def _real(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _asset(form: AssetForm) -> AssetQuote:
    cut, bond, pool = form.haircut, form.unbonding, form.pool
    return AssetQuote(
        float(form.price),
        float(form.confidence),
        form.offsets,
        None if cut is None else float(cut.maintenance),
        None if cut is None else float(cut.initial_extra),
        _real(form.volatility),
        _real(form.depth),
        float(form.held),
        _real(form.peg),
        form.issuer,
        None if bond is None else Bond(float(bond.days), float(bond.penalty), float(bond.rate)),
        None if pool is None else Pool(*(float(value) for _, value in pool)),
    )


def _correlations(forms: Mapping[str, Decimal]) -> dict[tuple[str, str], float]:
    told: dict[tuple[str, str], float] = {}
    for key, value in forms.items():
        path = _step(f"{MARKET}.correlations", key)
        names = key.split("/")
        if len(names) != 2 or not all(names) or names[0] == names[1]:
            raise BadInput("OutOfRange", "a pair is two different underlyings, as in BTC/ETH", path)
        pair = (min(names), max(names))
        if pair in told:
            raise BadInput("Twice", "the pair stands twice", path)
        told[pair] = float(value)
    return told


def _history(form: HistoryForm) -> History:
    path, days, width = f"{MARKET}.history", len(form.times), len(form.underlyings)
    tables = {"returns": form.returns}
    if form.volatility_moves is not None:
        tables["volatility_moves"] = form.volatility_moves
    for name, rows in tables.items():
        if len(rows) != days:
            raise BadInput("OutOfRange", f"{len(rows)} rows for {days} times", f"{path}.{name}")
        for number, row in enumerate(rows):
            if len(row) != width:
                raise BadInput("OutOfRange", f"{len(row)} for {width} underlyings", f"{path}.{name}[{number}]")
    for number, (before, after) in enumerate(zip(form.times, form.times[1:], strict=False), 1):
        if after <= before:
            raise BadInput("Unsorted", "times ascend", f"{path}.times[{number}]")
    moves = {name: np.array(rows, np.float64).reshape(days, width) for name, rows in tables.items()}
    return History(
        tuple(form.underlyings),
        np.array(form.times, np.int64),
        moves["returns"],
        moves.get("volatility_moves", np.zeros((days, width))),
        form.proxy,
    )
