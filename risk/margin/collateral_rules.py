"""How a profile of the calculator counts collateral and unrealised gains: `risk.collateral` by its parameters.

What does not depend on size (haircut, peg, staking, a pool's own value) is whole basis points against the account. What
does (limits, the cost of selling) is reckoned in money, so that more of an asset never counts for less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from scipy.special import ndtri

from risk.collateral import gains, haircuts, limits, pools, staked
from risk.collateral.limits import Refusal, Tier
from risk.liquidity import points
from risk.margin import scan
from risk.margin.answer import AddOn, CollateralAnswer
from risk.margin.book import AssetQuote, Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, finely, total
from risk.margin.model import Header
from risk.margin.valuing import Quoted
from risk.margin.worth import Haircut, Held, held
from schemas.limits import BASIS_POINTS
from schemas.strict import DEFAULT, Fault, Table, TomlError, at, decimal_of, only, real_of, table_of, value_of

Tiers = Mapping[str, tuple[Tier, ...]]
"""by asset, dollars; "default" for those not named"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a profile says of collateral beside its static haircuts."""

    days: float
    """the liquidation window: the profile's margin period"""
    deviations: float
    """of the profile's confidence, one-sided"""
    maintenance: float
    """part of them for maintenance"""
    impact: float
    """what selling an asset's depth moves its price by"""
    power: float
    peg: float
    """part of its peg below which a stable coin's haircut widens"""
    peg_factor: float
    wrong_way: float
    """correlation with a lean of the book past which collateral is refused"""
    tiers: Tiers
    """of one account's holding"""
    house: Tiers
    """of all accounts' together"""
    gain: float
    """part of unrealised gains that counts for initial margin"""


class Backing(NamedTuple):
    """The account's collateral as it counts, one row an asset."""

    assets: tuple[Held, ...]
    answers: tuple[CollateralAnswer, ...]
    within: tuple[Number, ...]
    """the part of each that counts before haircuts: within limits, and not refused"""
    notes: tuple[str, ...]

    def moving(self, row: int, loss: Number) -> Number:
        """How many units of an asset are in the scan, where one loses at most `loss`: what counts nothing hedges
        nothing, and no asset is charged more than it counts for."""
        one, told = self.assets[row], self.answers[row]
        if one.value <= 0 or loss <= 0:
            return one.amount * self.within[row]
        return min(one.amount * self.within[row], max(told.value - told.haircut, 0) / loss)


def terms_of(table: Table, path: str, header: Header) -> Terms:
    """The table of that path, `collateral_terms` in a profile. Raises TomlError."""
    inner = table_of(table, "", path)
    only(
        inner,
        path,
        ("maintenance", "impact", "power", "peg", "peg_factor", "wrong_way", "tiers", "house_tiers", "gain"),
    )
    return Terms(
        days=header.period.days,
        deviations=round(float(ndtri(header.confidence)), 6),
        maintenance=real_of(inner, path, "maintenance", 0, 1),
        impact=real_of(inner, path, "impact", 0.0001, 1),
        power=real_of(inner, path, "power", 0.1, 2),
        peg=real_of(inner, path, "peg", 0, 1),
        peg_factor=real_of(inner, path, "peg_factor", 0, 100),
        wrong_way=real_of(inner, path, "wrong_way", 0, 1),
        tiers=_tiers(inner, path, "tiers"),
        house=_tiers(inner, path, "house_tiers"),
        gain=real_of(inner, path, "gain", 0, 1),
    )


def backing(
    portfolio: Portfolio,
    market: Market,
    static: Mapping[str, Haircut],
    terms: Terms,
    quotes: Sequence[Quoted],
    fact: Fact,
) -> Backing:
    """Collateral at its whole value with what of it does not count; `quotes` are the positions'. Raises NotInMarket,
    risk.liquidity.Unusable."""
    answers, within, notes = list[CollateralAnswer](), list[Number](), list[str]()
    assets = held(portfolio, market, static, fact)
    # deltas cost time, and only what no scenario moves is judged by them
    lean = leans(portfolio, quotes) if any(one.offsets is None for one in assets) else {}
    for one in assets:
        quote = market.assets[one.asset]
        why = refusal(one.asset, quote, portfolio.owner, market, lean, terms)
        if why is not None:
            answers.append(CollateralAnswer(one.asset, one.value, one.size, one.size))
            within.append(Fraction(0))
            notes.append(f"{one.asset}: wrong-way collateral refused, {why.value}")
            continue
        part = _within(one, quote, terms, fact)
        answers.append(_counted(one, quote, market, terms, part, fact))
        within.append(part)
    return Backing(assets, tuple(answers), tuple(within), tuple(notes))


def refusal(
    asset: str, quote: AssetQuote, owner: str, market: Market, lean: Mapping[str, float], terms: Terms
) -> Refusal | None:
    """Why the asset counts nothing for this account. What an underlying's scenarios move is in the scan with the
    positions, where falling together is charged already."""
    pairs = {symbol: (min(asset, symbol), max(asset, symbol)) for symbol in lean}
    known = {symbol: market.correlations.get(pair, 0.0) for symbol, pair in pairs.items()}
    return limits.wrong_way(quote.issuer, owner, {} if quote.offsets is not None else lean, known, terms.wrong_way)


def leans(portfolio: Portfolio, quotes: Sequence[Quoted]) -> dict[str, float]:
    """The positions' dollar delta by underlying."""
    told: dict[str, float] = {}
    for position, quote, delta in zip(portfolio.positions, quotes, scan.deltas(quotes), strict=True):
        symbol = quote.instrument.underlying
        told[symbol] = told.get(symbol, 0.0) + float(position.quantity) * delta * quote.forward
    return told


def price_of(quote: AssetQuote, market: Market) -> float:
    """Dollars that one unit counts for before haircuts: its price, of a pool's token no more than its coins make it
    worth at the oracle's price."""
    if quote.pool is None or quote.offsets is None:
        return quote.price
    return min(quote.price, pools.value(quote.pool, market.underlyings[quote.offsets].spot))


def gain_charge(portfolio: Portfolio, carried: Sequence[Number], weight: float, fact: Fact) -> AddOn:
    """What of profit not paid yet does not count for initial margin. Losses of one position are met by gains of another
    first; an option's value is no such profit."""
    unpaid = total(
        one
        for one, position in zip(carried, portfolio.positions, strict=True)
        if position.instrument.kind != Kind.OPTION
    )
    return AddOn("unrealised gain", gains.not_counted(unpaid, fact(weight)), fact(0.0))


def _counted(
    one: Held, quote: AssetQuote, market: Market, terms: Terms, within: Number, fact: Fact
) -> CollateralAnswer:
    always = _always(quote, market, terms)
    initial, maintenance = one.haircut_maintenance + one.haircut_extra, one.haircut_maintenance
    if quote.volatility is not None and quote.offsets is None:
        whole = terms.deviations
        initial = max(initial, _part(haircuts.moved(quote.volatility, terms.days, whole), fact))
        maintenance = max(
            maintenance, _part(haircuts.moved(quote.volatility, terms.days, whole * terms.maintenance), fact)
        )
    if one.value < 0:
        # a debt has no size to be limited, and costs its haircut more
        return CollateralAnswer(one.asset, one.value, min(1, initial) * one.size, maintenance * one.size)
    rest = (1 - _part(always, fact)) * _sold(one, quote, terms, within, fact)
    return CollateralAnswer(
        one.asset,
        one.value,
        one.value * (1 - (1 - min(1, initial)) * rest),
        one.value * (1 - (1 - maintenance) * rest),
    )


def _always(quote: AssetQuote, market: Market, terms: Terms) -> float:
    """The part lost whatever the size: above what a pool's coins are worth, off the peg, by waiting for unbonding."""
    parts = [1.0 - price_of(quote, market) / quote.price]
    if quote.peg is not None:
        parts.append(haircuts.off_peg(quote.price, quote.peg, terms.peg, terms.peg_factor))
    if quote.bond is not None:
        volatility = 0.0 if quote.volatility is None else quote.volatility
        parts.append(staked.unbonding(quote.bond, volatility, terms.days, terms.deviations))
    return haircuts.together(*parts)


def _within(one: Held, quote: AssetQuote, terms: Terms, fact: Fact) -> Number:
    """The part of the holding that is within the limits."""
    dollars = one.amount * one.price
    if dollars <= 0:
        return Fraction(1)
    own = limits.counted(dollars, terms.tiers.get(one.asset, terms.tiers.get(DEFAULT, ())))
    house = terms.house.get(one.asset, terms.house.get(DEFAULT, ()))
    return min(own, limits.counted_of_house(dollars, fact(quote.held), house)) / dollars


def _sold(one: Held, quote: AssetQuote, terms: Terms, within: Number, fact: Fact) -> Number:
    """The part of the value that counts by the limits and after the cost of selling what they let count."""
    dollars = one.amount * one.price
    size = float(dollars * within)
    if quote.depth is None or size <= 0.0:
        return within
    cost = finely(fact, size * haircuts.sold(size, quote.depth, terms.impact, terms.power))
    return max(within - cost / dollars, 0)


def _part(part: float, fact: Fact) -> Number:
    return fact(points(part) / BASIS_POINTS)


def _tiers(table: Table, path: str, key: str) -> Tiers:
    whole, inner = table_of(table, path, key), at(path, key)
    told = {}
    for asset in whole:
        rows, where = value_of(whole, inner, asset), at(inner, asset)
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
            raise TomlError(Fault.WRONG_TYPE, where, "not an array of pairs: dollars, part of them that counts")
        pairs = [
            (Fraction(decimal_of(size, f"{where}[{n}][0]")), Fraction(decimal_of(part, f"{where}[{n}][1]")))
            for n, (size, part) in enumerate(rows)
        ]
        try:
            told[asset] = limits.tiers_of(pairs)
        except limits.TiersRise as error:
            raise TomlError(Fault.OUT_OF_RANGE, where, str(error)) from None
    return told
