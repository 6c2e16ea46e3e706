"""The demonstration's exchange as plain data: assets, underlyings, instruments, index and parameters.

Everything follows from the first price of each underlying and the time it opens, so that a user's own prices get an
exchange of the same shape: strikes around the first price, the next three customary expiries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.events import AssetListed, IndexChanged, InstrumentListed, ParameterChanged, UnderlyingListed
from schemas.kinds import Kind, Parameter, Payoff, Right, Settling, Style
from schemas.limits import MAX_ASSETS, MICRO, UNDERLYING_UNITS

VENUE: Final = 1
"""the exchange's number in trades and orders"""
DOLLAR: Final = 0
SOURCES: Final = (1, 2, 3)
"""the oracle's sources"""
HOUR: Final = 3_600_000_000
"""microseconds"""
GOVERNANCE_PRICE: Final = 10 * MICRO
"""what the governance token costs at the opening, micro-dollars: made up, no such token traded"""

_STABLE_HAIRCUT: Final = 200
_HAIRCUTS: Final = {"BTC": 500, "ETH": 1_000}
_OTHER_COIN_HAIRCUT: Final = 2_000
_GOVERNANCE_HAIRCUT: Final = 5_000
_COIN_DECIMALS: Final = 8
_INVERSE_DOLLARS: Final = 10
"""dollars in one contract of the inverse perp"""


class NotListableError(ValueError):
    """Prices that no exchange can be made of: which, and why."""


@dataclass(frozen=True)
class Exchange:
    """What is listed, as the events that list it; the mappings find the same by symbol."""

    assets: tuple[AssetListed, ...]
    underlyings: tuple[UnderlyingListed, ...]
    instruments: tuple[InstrumentListed, ...]
    index: tuple[IndexChanged, ...]
    asset: Mapping[str, AssetListed] = field(repr=False)
    instrument: Mapping[str, InstrumentListed] = field(repr=False)

    def number(self, instrument: int) -> InstrumentListed:
        """The instrument of this number (they are dense, from 1)."""
        return self.instruments[instrument - 1]

    @property
    def expiries(self) -> tuple[int, ...]:
        """Every expiry listed, in order, microseconds."""
        return tuple(sorted({one.expiry for one in self.instruments if one.expiry}))


@dataclass(frozen=True, slots=True)
class Grid:
    """How an underlying's instruments are cut.

    Lots in 10^-8 of the underlying, `price_scale` ticks to a dollar, strikes in whole multiples of micro-dollars.
    """

    lot: int
    price_scale: int
    strikes: tuple[int, ...]


def grid(opening: int) -> Grid:
    """The grid around an opening price (micro-dollars).

    A lot is worth 1 to 10 dollars, strikes lie about a ninth apart from 40 % to 155 % of the price. BTC at 7,894 gets
    lots of 0.001 and strikes 3000 ... 12000; ETH at 200 lots of 0.01 and strikes 80 ... 300.

    Raises NotListableError where no lot of whole smallest units is worth that.
    """
    dollars = opening / MICRO
    lot = 10 ** (8 - math.floor(math.log10(dollars)))
    lot = max(lot, 100_000)
    price_scale = 100 if dollars >= 10 else 10_000
    if lot > 10**12:
        raise NotListableError(f"an opening price of {dollars} dollars is too small to cut into lots")
    step = _round_step(opening / 9)
    first, last = math.floor(0.4 * opening / step), math.floor(1.55 * opening / step)
    return Grid(lot, price_scale, tuple(step * k for k in range(max(first, 1), last + 1)))


def _round_step(width: float) -> int:
    """The 1, 2 or 5 times a power of ten that lies nearest by ratio, micro-dollars, at least a hundredth of a cent."""
    power = 10 ** math.floor(math.log10(width))
    best = min((1, 2, 5, 10), key=lambda digit: abs(math.log(digit * power / width)))
    return max(100, int(best * power))


def customary_expiries(time: int) -> tuple[int, int, int]:
    """The next Friday, the last Friday of a month after it, the last Friday of a quarter after that one, at 08:00 UTC.

    `time` and the answer in microseconds. From 11 March 2020: 13 March, 27 March, 26 June.
    """
    start = datetime.fromtimestamp(time // MICRO, UTC)
    friday = (start + timedelta(days=(4 - start.weekday()) % 7)).replace(hour=8, minute=0, second=0, microsecond=0)
    if friday <= start:
        friday += timedelta(days=7)
    monthly = _last_friday(friday.year, friday.month)
    if monthly <= friday:
        monthly = _last_friday(friday.year, friday.month + 1)
    quarter = _last_friday(monthly.year, (monthly.month + 2) // 3 * 3)
    if quarter <= monthly:
        quarter = _last_friday(monthly.year, monthly.month + 3)
    return _micros(friday), _micros(monthly), _micros(quarter)


def _last_friday(year: int, month: int) -> datetime:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    following = datetime(year + month // 12, month % 12 + 1, 1, 8, tzinfo=UTC)
    last = following - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - 4) % 7)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * MICRO


def exchange(opening: Mapping[str, int], time: int) -> Exchange:
    """The exchange that opens at `time` (microseconds) with these underlyings at these prices (micro-dollars).

    Asset 0 is the dollar, 1 USDC, then a coin for each underlying in the mapping's order, then GOV. Underlyings are
    numbered from 0, instruments from 1. The first underlying has an inverse perp too. Raises NotListableError.
    """
    if not 0 < len(opening) <= MAX_ASSETS - 3 or {"USD", "USDC", "GOV"} & set(opening):
        raise NotListableError(
            f"underlyings {', '.join(opening) or 'none'}: 1 to {MAX_ASSETS - 3}, not USD, USDC or GOV"
        )
    assets = _assets(tuple(opening), time)
    underlyings: list[UnderlyingListed] = []
    instruments: list[InstrumentListed] = []
    for number, (symbol, price) in enumerate(opening.items()):
        bounds = {"lowest": max(1, price // 20), "highest": price * 20}
        underlyings.append(UnderlyingListed(underlying=number, time=time, symbol=symbol, **bounds))
        for one in _instruments(number, symbol, price, time, inverse=number == 0):
            instruments.append(_numbered(one, len(instruments) + 1))
    index = tuple(
        IndexChanged(underlying=one.underlying, source=source, weight=1, time=time, effective=time)
        for one in underlyings
        for source in SOURCES
    )
    return Exchange(
        assets,
        tuple(underlyings),
        tuple(instruments),
        index,
        {one.symbol: one for one in assets},
        {one.symbol: one for one in instruments},
    )


def _assets(coins: Sequence[str], time: int) -> tuple[AssetListed, ...]:
    rows = [("USD", 6, 0), ("USDC", 6, _STABLE_HAIRCUT)]
    rows += [(symbol, _COIN_DECIMALS, _HAIRCUTS.get(symbol, _OTHER_COIN_HAIRCUT)) for symbol in coins]
    rows.append(("GOV", _COIN_DECIMALS, _GOVERNANCE_HAIRCUT))
    return tuple(
        AssetListed(asset=number, decimals=decimals, haircut=haircut, symbol=symbol, time=time)
        for number, (symbol, decimals, haircut) in enumerate(rows)
    )


def coin_of(underlying: int) -> int:
    """The asset number of an underlying's coin."""
    return underlying + 2


def _instruments(number: int, symbol: str, price: int, time: int, *, inverse: bool) -> list[InstrumentListed]:
    cut = grid(price)
    friday, monthly, quarterly = customary_expiries(time)
    cash = Settling.COLLATERALISED
    daily = Settling.SETTLED_TO_MARKET
    rows = [
        _linear(number, time, cut, f"{symbol}-USD", Kind.SPOT, cut.lot, cash, 0),
        _linear(number, time, cut, f"{symbol}-PERP", Kind.PERP, cut.lot, cash, 0),
        *(
            _linear(number, time, cut, f"{symbol}-{_day(expiry)}", Kind.FUTURE, cut.lot, settling, expiry)
            for expiry, settling in ((friday, cash), (monthly, daily), (quarterly, cash))
        ),
    ]
    if inverse:
        rows.append(_inverse(number, time, cut, f"{symbol}-PERP-INV", price))
    rows += [
        _option(number, time, cut, symbol, expiry, strike, right)
        for expiry in (friday, monthly)
        for strike in cut.strikes
        for right in (Right.CALL, Right.PUT)
    ]
    return rows


def _day(expiry: int) -> str:
    return datetime.fromtimestamp(expiry // MICRO, UTC).strftime("%d%b%y").upper()


def tick_value(lot: int, price_scale: int) -> int:
    """Micro-dollars a lot (10^-8 of the underlying) gains with one tick, of which `price_scale` make a dollar.

    Raises NotListableError where that is no whole number.
    """
    value, rest = divmod(lot * MICRO, price_scale * UNDERLYING_UNITS)
    if rest:
        raise NotListableError(f"a lot of {lot} at {price_scale} ticks a dollar has no whole tick value")
    return value


def _linear(
    number: int, time: int, cut: Grid, name: str, kind: Kind, lot: int, settling: Settling, expiry: int
) -> InstrumentListed:
    return InstrumentListed(
        kind=kind,
        payoff=Payoff.LINEAR,
        style=Style.FUTURES,
        settling=settling,
        right=Right.NONE,
        underlying=number,
        settlement_asset=DOLLAR,
        base_asset=coin_of(number),
        instrument=0,
        time=time,
        effective=time,
        expiry=expiry,
        strike=0,
        price_scale=cut.price_scale,
        tick_value=tick_value(lot, cut.price_scale),
        contract_value=0,
        lot_size=lot,
        symbol=name,
    )


def _inverse(number: int, time: int, cut: Grid, name: str, price: int) -> InstrumentListed:
    return InstrumentListed(
        kind=Kind.PERP,
        payoff=Payoff.INVERSE,
        style=Style.FUTURES,
        settling=Settling.COLLATERALISED,
        right=Right.NONE,
        underlying=number,
        settlement_asset=coin_of(number),
        base_asset=coin_of(number),
        instrument=0,
        time=time,
        effective=time,
        expiry=0,
        strike=0,
        price_scale=cut.price_scale,
        tick_value=1,
        contract_value=_INVERSE_DOLLARS * UNDERLYING_UNITS * cut.price_scale,
        # what a contract was worth in coins at the listing; its value now follows from contract_value and the price
        lot_size=max(1, _INVERSE_DOLLARS * MICRO * UNDERLYING_UNITS // price),
        symbol=name,
    )


def _option(number: int, time: int, cut: Grid, symbol: str, expiry: int, strike: int, right: Right) -> InstrumentListed:
    dollars = f"{strike / MICRO:f}".rstrip("0").rstrip(".")
    return InstrumentListed(
        kind=Kind.OPTION,
        payoff=Payoff.LINEAR,
        style=Style.PREMIUM,
        settling=Settling.COLLATERALISED,
        right=right,
        underlying=number,
        settlement_asset=DOLLAR,
        base_asset=coin_of(number),
        instrument=0,
        time=time,
        effective=time,
        expiry=expiry,
        strike=strike * cut.price_scale // MICRO,
        price_scale=cut.price_scale,
        tick_value=tick_value(cut.lot, cut.price_scale),
        contract_value=0,
        lot_size=cut.lot,
        symbol=f"{symbol}-{_day(expiry)}-{dollars}-{'C' if right == Right.CALL else 'P'}",
    )


def _numbered(one: InstrumentListed, number: int) -> InstrumentListed:
    return replace(one, instrument=number)


def opening_parameters(time: int) -> tuple[ParameterChanged, ...]:
    """What the exchange sets before it opens.

    The widest move believed at once is set for hourly bars: on 13 March 2020 the price rose by 40 % between two of the
    points that a bar tells.
    """
    values = {
        Parameter.ORACLE_MAX_DEVIATION: 6_000,
        Parameter.ORACLE_MAX_AGE: 6 * HOUR,
        Parameter.FUND_FEE_SHARE: 5_000,
    }
    return tuple(
        ParameterChanged(parameter=parameter, scope=0, time=time, effective=time, value=value)
        for parameter, value in values.items()
    )


COUNCIL: Final[tuple[tuple[int, Parameter, str, int], ...]] = (
    (36, Parameter.HAIRCUT, "GOV", 7_000),
    (37, Parameter.AUCTION_FLOOR, "", 1_000),
    (52, Parameter.HAIRCUT, "ETH", 1_500),
    (84, Parameter.HAIRCUT, "ETH", 1_000),
    (84, Parameter.AUCTION_FLOOR, "", 500),
)
"""What the risk council decides in mid-crash: hours after the opening, parameter, asset, value."""


def council(venue: Exchange, opened: int, before: int, until: int) -> tuple[ParameterChanged, ...]:
    """The council's changes announced in the half-open interval of time [before, until), microseconds."""
    return tuple(
        ParameterChanged(
            parameter=parameter,
            scope=venue.asset[symbol].asset if symbol else 0,
            time=opened + hours * HOUR,
            effective=opened + (hours + 1) * HOUR,
            value=value,
        )
        for hours, parameter, symbol, value in COUNCIL
        if before <= opened + hours * HOUR < until and (not symbol or symbol in venue.asset)
    )
