"""What an account is worth beside its options: unrealised profit, and collateral with its haircuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from risk.margin.book import AssetQuote, Market, Portfolio, Position
from risk.margin.exact import Fact, Number
from risk.margin.valuing import NotInMarket
from schemas.strict import DEFAULT, Table, at, only, real_of, table_of


@dataclass(frozen=True, slots=True)
class Haircut:
    """Parts of an asset's value that do not count: for maintenance, and for initial margin besides."""

    maintenance: float
    initial_extra: float


WORTHLESS: Final = Haircut(1.0, 0.0)
"""where neither the market nor the profile gives a haircut"""


@dataclass(frozen=True, slots=True)
class Held:
    """One holding at its whole value, in the settlement asset; a debt is negative."""

    asset: str
    amount: Fraction
    price: Number
    """dollars"""
    value: Number
    offsets: str | None
    """the underlying whose scenarios move it"""
    confidence: float
    """the lesser of its own and its underlying's"""
    haircut_maintenance: Number
    """of the value's size"""
    haircut_extra: Number

    @property
    def size(self) -> Number:
        """The value without its sign."""
        return max(self.value, -self.value)


def unrealised(position: Position, price: Number) -> Number:
    """Profit not paid yet of a perp or future at `price`, with funding."""
    gain: Number = position.unrealised
    if position.entry_price is not None:
        gain = position.quantity * (price - position.entry_price)
    return gain + position.funding


def haircuts_of(table: Table, path: str) -> Mapping[str, Haircut]:
    """A table of haircuts by asset; "default" stands for those not named and is needed. Raises TomlError."""
    whole = table_of(table, path, "haircuts")
    inner = at(path, "haircuts")
    read: dict[str, Haircut] = {}
    for asset in (DEFAULT, *(name for name in whole if name != DEFAULT)):
        one, where = table_of(whole, inner, asset), at(inner, asset)
        only(one, where, ("maintenance", "initial_extra"))
        read[asset] = Haircut(real_of(one, where, "maintenance", 0, 1), real_of(one, where, "initial_extra", 0, 1))
    return read


def held(portfolio: Portfolio, market: Market, haircuts: Mapping[str, Haircut], fact: Fact) -> tuple[Held, ...]:
    """The account's collateral; the market's haircuts go before the profile's. Raises NotInMarket."""
    answers = []
    for holding in portfolio.collateral:
        quote = market.assets.get(holding.asset)
        if quote is None:
            raise NotInMarket(f"assets.{holding.asset} is not in the market")
        own = haircuts.get(holding.asset, haircuts.get(DEFAULT, WORTHLESS))
        cut = own.maintenance if quote.haircut_maintenance is None else quote.haircut_maintenance
        extra = own.initial_extra if quote.haircut_initial_extra is None else quote.haircut_initial_extra
        answers.append(
            Held(
                asset=holding.asset,
                amount=holding.amount,
                price=fact(quote.price),
                value=holding.amount * fact(quote.price / market.settlement_price),
                offsets=quote.offsets,
                confidence=_confidence(quote, market),
                haircut_maintenance=fact(cut),
                # the two together are no more than the whole
                haircut_extra=min(fact(extra), 1 - fact(cut)),
            )
        )
    return tuple(answers)


def _confidence(quote: AssetQuote, market: Market) -> float:
    if quote.offsets is None:
        return quote.confidence
    if quote.offsets not in market.underlyings:
        raise NotInMarket(f"underlyings.{quote.offsets}, which a collateral asset offsets, is not in the market")
    return min(quote.confidence, market.underlyings[quote.offsets].confidence)
