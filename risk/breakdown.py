"""Margin taken apart for people: every figure of one account with what it is made of.

It is also the second way: plain Python integers and fractions, written from the definitions in docs/design.md and not
from the kernel, so the two check each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from risk.profile import Netting
from risk.tables import Holdings, Market, Profiles
from schemas.kinds import Kind, Payoff, Reason, Style
from schemas.limits import ARRAY_EXPONENT, BASIS_POINTS, FUNDING_SCALE, MAX_EXPOSURE, MAX_VALUE

FINE = 1 << ARRAY_EXPONENT


@dataclass(frozen=True, slots=True)
class AssetPart:
    """A balance in equity. Micro-dollars but for `balance` (smallest units) and `haircut` (basis points)."""

    asset: int
    balance: int
    value: int
    haircut: int
    counted: int


@dataclass(frozen=True, slots=True)
class PositionPart:
    """A position in equity: `value` and `cost` in smallest settlement units; `worth` (profit, or a premium style
    option's value), the part of it `counted`, and `funding` in micro-dollars."""

    instrument: int
    quantity: int
    value: int
    cost: int
    worth: int
    counted: int
    funding: int


@dataclass(frozen=True, slots=True)
class Leg:
    """What moves in a scenario: a position, or a balance as lots of its SPOT instrument. Losses by scenario."""

    instrument: int
    quantity: int
    asset: int | None
    losses: tuple[int, ...]
    delta: int


@dataclass(frozen=True, slots=True)
class OrderPart:
    """An open order as if it were filled: `slippage` and the `size` of what it is a part of in micro-dollars, `losses`
    by scenario with the slippage."""

    instrument: int
    quantity: int
    price: int
    slippage: int
    size: int
    losses: tuple[int, ...]
    delta: int


@dataclass(frozen=True, slots=True)
class GroupPart:
    """A netting group. `scan`, `basis`: 2^-ARRAY_EXPONENT micro-dollars; `worst` is None where no scenario loses."""

    key: int
    losses: tuple[int, ...]
    scan: int
    worst: int | None
    basis: int
    delta: int
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class CreditPart:
    """A pair of underlyings: the dollar delta hedged and the credit given, 2^-ARRAY_EXPONENT micro-dollars."""

    a: int
    b: int
    hedged: int
    credit: int


@dataclass(frozen=True, slots=True)
class Requirement:
    """scan + basis - credit, or the short option minimum if that is more. 2^-ARRAY_EXPONENT micro-dollars."""

    scan: int
    basis: int
    credits: tuple[CreditPart, ...]
    short_option_minimum: int
    total: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An account's margin. Equity, maintenance, buffer, initial and isolated are micro-dollars."""

    account: int
    profile: int
    assets: tuple[AssetPart, ...]
    positions: tuple[PositionPart, ...]
    fees_due: int
    groups: tuple[GroupPart, ...]
    required: Requirement
    orders: tuple[OrderPart, ...]
    required_with_orders: Requirement
    equity: int
    maintenance: int
    buffer: int
    initial: int
    isolated: int
    """maintenance margins of each position, and of each coin that is scanned, every one of them alone, added up"""
    worst: int
    status: Reason


@dataclass(frozen=True, slots=True)
class _Interval:
    """A net delta over all fills of the orders, and what of its magnitude no pair has used yet."""

    low: int
    high: int
    left_low: int
    left_high: int


def _worth(market: Market, i: int, quantity: int, price: int) -> int:
    """Smallest settlement units; an INVERSE leg's magnitude is rounded down."""
    if market.payoff[i] != Payoff.INVERSE:
        return quantity * price * int(market.tick_value[i])
    magnitude = abs(quantity) * int(market.contract_value[i]) // price
    return -magnitude if quantity > 0 else magnitude


def _fits(market: Market, i: int, quantity: int, price: int) -> bool:
    """Whether the products in a leg's value stay inside 64 bits."""
    if market.payoff[i] == Payoff.INVERSE:
        return abs(quantity) * int(market.contract_value[i]) < MAX_EXPOSURE
    return abs(quantity) * price * int(market.tick_value[i]) < MAX_VALUE


def _dollars(market: Market, asset: int, amount: int) -> int:
    """Micro-dollars, rounded down."""
    return amount * int(market.asset_price[asset]) // int(market.asset_scale[asset])


def _share(amount: int, basis_points: int) -> Fraction:
    return Fraction(amount * basis_points, BASIS_POINTS)


def _asset(market: Market, asset: int, balance: int) -> AssetPart:
    value, haircut = _dollars(market, asset, balance), int(market.haircut[asset])
    counted = floor(_share(value, BASIS_POINTS - haircut)) if value > 0 else value
    return AssetPart(asset, balance, value, haircut, counted)


def _position(market: Market, i: int, quantity: int, cost: int, index: int, gain: int) -> PositionPart:
    value, asset = _worth(market, i, quantity, int(market.mark[i])), int(market.settlement[i])
    premium = market.style[i] == Style.PREMIUM
    worth = _dollars(market, asset, value if premium else value - cost)
    counted = floor(_share(worth, gain)) if worth > 0 and not premium else worth
    funding = 0
    if market.kind[i] == Kind.PERP:
        due = floor(Fraction(-quantity * (int(market.funding[i]) - index), FUNDING_SCALE))
        funding = _dollars(market, asset, due)
    return PositionPart(i, quantity, value, cost, worth, counted, funding)


def _slippage(market: Market, i: int, quantity: int, price: int, gain: int) -> tuple[int, int]:
    """Micro-dollars lost when an order is filled at its price, rounded up: against the mark, and a coin's haircut. And
    the size of what that was reckoned from."""
    now = _worth(market, i, quantity, int(market.mark[i]))
    asset = int(market.settlement[i])
    won = _dollars(market, asset, now - _worth(market, i, quantity, price))
    size = abs(won)
    if won > 0 and market.style[i] != Style.PREMIUM and market.kind[i] != Kind.SPOT:
        won = floor(_share(won, gain))
    if market.kind[i] == Kind.SPOT and quantity > 0:
        value = ceil(Fraction(now * int(market.asset_price[asset]), int(market.asset_scale[asset])))
        won -= ceil(_share(value, int(market.haircut[market.base[i]])))
        size += value
    return -won, size


def _collateral(market: Market, asset: int, balance: int) -> int:
    """Lots of the asset's SPOT instrument: after haircut and rounded down, a debt in full and rounded up."""
    lot = int(market.lot_size[market.asset_spot[asset]])
    if balance > 0:
        return floor(_share(balance, BASIS_POINTS - int(market.haircut[asset])) / lot)
    return floor(Fraction(balance, lot))


def _key(netting: Netting, market: Market, i: int) -> int:
    return i if netting == Netting.POSITION else int(market.underlying[i])


def _total(vectors: Sequence[Sequence[int]], width: int) -> list[int]:
    return [sum(vector[k] for vector in vectors) for k in range(width)]


def _basis(market: Market, profiles: Profiles, profile: int, key: int, moves: Sequence[Leg | OrderPart]) -> int:
    """What an underlying's expiries that lean against each other are charged; orders count where they make it more."""
    long = short = reach = widest = 0
    for bucket in sorted({int(market.bucket[move.instrument]) for move in moves}):
        here = [move for move in moves if market.bucket[move.instrument] == bucket]
        net = sum(move.delta for move in here if isinstance(move, Leg))
        bought = sum(max(move.delta, 0) for move in here if isinstance(move, OrderPart))
        sold = sum(min(move.delta, 0) for move in here if isinstance(move, OrderPart))
        long += max(net + bought, 0)
        short += max(-(net + sold), 0)
        reach += max(net + bought, -(net + sold))
        widest = max(widest, net + bought, -(net + sold))
    # whichever way the widest expiry leans, what hedges it is in the others
    return ceil(_share(min(long, short, reach - widest), int(profiles.basis[profile, key])))


def _sign(interval: _Interval) -> int:
    return 1 if interval.low > 0 else -1 if interval.high < 0 else 0


def _credits(
    profiles: Profiles, profile: int, deltas: dict[int, tuple[int, int]], scans: dict[int, int]
) -> tuple[CreditPart, ...]:
    """The credits by pair in priority order. `deltas` are (lowest, highest) net dollar deltas by underlying, `scans`
    their scan risk at the least."""
    left = {key: _Interval(low, high, max(low, -high, 0), max(high, -low)) for key, (low, high) in deltas.items()}
    parts = []
    start = int(profiles.credit_start[profile])
    for pair in range(start, start + int(profiles.credit_count[profile])):
        a, b = int(profiles.credit_a[pair]), int(profiles.credit_b[pair])
        if a not in left or b not in left or _sign(left[a]) * _sign(left[b]) > 0:
            continue
        one, two = left[a], left[b]
        surely = _sign(one) * _sign(two) < 0
        if surely:
            hedged = min(one.left_low, two.left_low)
            risk = 0
            for key, side in ((a, one), (b, two)):
                price = floor(_share(hedged, int(profiles.scan[profile, key])))
                risk += min(price, floor(Fraction(scans[key] * hedged, max(side.high, -side.low))))
            parts.append(CreditPart(a, b, hedged, floor(_share(risk, int(profiles.credit_rate[pair])))))
        left[a] = _used(one, two, surely)
        left[b] = _used(two, one, surely)
    return tuple(parts)


def _used(side: _Interval, other: _Interval, surely: bool) -> _Interval:
    """What is left of a side after a pair: surely less where the signs are opposite, perhaps less where they may be."""
    left_low = max(side.left_low - other.left_high, 0)
    left_high = max(side.left_high - other.left_low, 0) if surely else side.left_high
    return _Interval(side.low, side.high, left_low, left_high)


def _minimum(market: Market, profiles: Profiles, profile: int, netting: Netting, held: dict[int, int]) -> int:
    """The short option minimum for these net quantities by instrument, rounded up for each netting group."""
    shorts: dict[int, Fraction] = {}
    for i, quantity in held.items():
        if quantity < 0 and market.kind[i] == Kind.OPTION:
            rate = int(profiles.short_option[profile, market.underlying[i]])
            key = _key(netting, market, i)
            shorts[key] = shorts.get(key, Fraction()) + _share(-quantity * int(market.notional[i]) * FINE, rate)
    return sum(ceil(short) for short in shorts.values())


def _requirement(scan: int, basis: int, pairs: tuple[CreditPart, ...], minimum: int) -> Requirement:
    total = max(scan + basis - sum(part.credit for part in pairs), minimum)
    return Requirement(scan, basis, pairs, minimum, total)


class _Portfolio:
    """One account's legs and orders as plain values, with what the definitions need beside them."""

    def __init__(self, account: int, holdings: Holdings, market: Market, profiles: Profiles) -> None:
        self.market, self.profiles = market, profiles
        self.profile = profile = int(holdings.profile[account])
        self.width = int(profiles.width[profile])
        self.netting = Netting(int(profiles.netting[profile]))
        gain = int(profiles.gain[profile])
        start, count = int(holdings.start[account]), int(holdings.count[account])
        self.complete = self.valued = True
        self.assets = [
            _asset(market, asset, int(balance)) for asset, balance in enumerate(holdings.balance[account]) if balance
        ]
        self.positions = []
        self.legs: list[Leg] = []
        self.fits = True
        for p in range(start, start + count):
            i, quantity = int(holdings.instrument[p]), int(holdings.quantity[p])
            if quantity == 0:
                continue
            self.complete &= bool(market.marked[i]) and bool(profiles.has_row[profile, i])
            if not market.mark[i]:
                continue
            self.fits &= _fits(market, i, quantity, int(market.mark[i]))
            self.positions.append(_position(market, i, quantity, int(holdings.cost[p]), int(holdings.funding[p]), gain))
            self._leg(i, quantity, None)
        if self.netting == Netting.UNDERLYING and self.width:
            for part in self.assets:
                if market.asset_spot[part.asset] >= 0:
                    lots = _collateral(market, part.asset, part.balance)
                    if lots:
                        self._leg(int(market.asset_spot[part.asset]), lots, part.asset)
        self.orders: list[OrderPart] = []
        start, count = int(holdings.order_start[account]), int(holdings.order_count[account])
        for o in range(start, start + count):
            self._order(
                int(holdings.order_instrument[o]), int(holdings.order_quantity[o]), int(holdings.order_price[o]), gain
            )
        if count and not self.width:
            self.valued = False

    def _unscanned(self, i: int) -> bool:
        return bool(self.netting == Netting.POSITION and self.market.kind[i] == Kind.SPOT)

    def _row(self, i: int) -> list[int]:
        """The risk array in force, or the last one there was, or zeros."""
        first = int(self.profiles.offset[self.profile]) + i * self.width
        return [int(loss) for loss in self.profiles.losses[first : first + self.width]]

    def _leg(self, i: int, quantity: int, asset: int | None) -> None:
        self.complete &= self.width > 0 and bool(self.profiles.has_row[self.profile, i])
        if not self.width:
            return
        losses = tuple(quantity * loss for loss in self._row(i))
        self.legs.append(Leg(i, quantity, asset, losses, quantity * int(self.market.delta[i])))

    def _order(self, i: int, quantity: int, price: int, gain: int) -> None:
        if not quantity or not self.width:
            return
        # where coins are not scanned (position netting) an order for coins costs its slippage only
        unscanned = self._unscanned(i)
        if not self.market.marked[i] or not (unscanned or self.profiles.has_row[self.profile, i]):
            self.valued = False
            return
        row = [0] * self.width if unscanned else self._row(i)
        self.valued &= _fits(self.market, i, quantity, price)
        self.valued &= _fits(self.market, i, quantity, int(self.market.mark[i]))
        slippage, size = _slippage(self.market, i, quantity, price, gain)
        losses = tuple(quantity * loss + slippage * FINE for loss in row)
        self.orders.append(OrderPart(i, quantity, price, slippage, size, losses, quantity * int(self.market.delta[i])))

    def groups(self) -> list[int]:
        """The netting groups, lowest first."""
        moves: list[Leg | OrderPart] = [*self.legs, *self.orders]
        return sorted({_key(self.netting, self.market, move.instrument) for move in moves})

    def legs_of(self, key: int) -> list[Leg]:
        return [leg for leg in self.legs if _key(self.netting, self.market, leg.instrument) == key]

    def orders_of(self, key: int) -> list[OrderPart]:
        return [order for order in self.orders if _key(self.netting, self.market, order.instrument) == key]

    def held(self) -> dict[int, int]:
        """Net lots by instrument, collateral left out."""
        return {leg.instrument: leg.quantity for leg in self.legs if leg.asset is None}

    def group(self, key: int) -> GroupPart:
        legs = self.legs_of(key)
        losses = _total([leg.losses for leg in legs], self.width)
        top = max(losses)
        basis = self._basis(key, legs)
        worst = losses.index(top) if top > 0 else None
        return GroupPart(key, tuple(losses), max(top, 0), worst, basis, sum(leg.delta for leg in legs), tuple(legs))

    def _basis(self, key: int, moves: Sequence[Leg | OrderPart]) -> int:
        return _basis(self.market, self.profiles, self.profile, key, moves) if self.netting == Netting.UNDERLYING else 0

    def _credits(self, deltas: dict[int, tuple[int, int]], scans: dict[int, int]) -> tuple[CreditPart, ...]:
        return _credits(self.profiles, self.profile, deltas, scans) if self.netting == Netting.UNDERLYING else ()

    def _minimum(self, held: dict[int, int]) -> int:
        return _minimum(self.market, self.profiles, self.profile, self.netting, held)

    def isolated(self) -> int:
        """Micro-dollars: what each leg would need if it were all there is."""
        alone = 0
        for leg in self.legs:
            short = self._minimum({leg.instrument: leg.quantity}) if leg.asset is None else 0
            alone += ceil(Fraction(max(0, short, *leg.losses), FINE))
        return alone

    def after(self, fills: Collection[int]) -> Requirement:
        """The requirement when exactly these orders (by place) have been filled."""
        filled = [order for place, order in enumerate(self.orders) if place in fills]
        scans, deltas, basis = {}, {}, 0
        for key in self.groups():
            mine = [order for order in filled if _key(self.netting, self.market, order.instrument) == key]
            as_legs = [Leg(order.instrument, order.quantity, None, order.losses, order.delta) for order in mine]
            after = self.legs_of(key) + as_legs
            scans[key] = max(0, *_total([leg.losses for leg in after], self.width))
            net = sum(leg.delta for leg in after)
            deltas[key] = (net, net)
            basis += self._basis(key, after)
        held = self.held()
        for order in filled:
            held[order.instrument] = held.get(order.instrument, 0) + order.quantity
        return _requirement(sum(scans.values()), basis, self._credits(deltas, scans), self._minimum(held))

    def at_most(self) -> Requirement:
        """The least figure that is known to be no less than the requirement after any of the orders' fills."""
        high, low, deltas, basis = {}, {}, {}, 0
        for key in self.groups():
            legs, orders = self.legs_of(key), self.orders_of(key)
            base = _total([leg.losses for leg in legs], self.width)
            costs = [sum(max(order.losses[k], 0) for order in orders) for k in range(self.width)]
            helps = [sum(min(order.losses[k], 0) for order in orders) for k in range(self.width)]
            high[key] = max(0, *(loss + cost for loss, cost in zip(base, costs, strict=True)))
            low[key] = max(0, *(loss + help_ for loss, help_ in zip(base, helps, strict=True)))
            net = sum(leg.delta for leg in legs)
            sold = sum(min(order.delta, 0) for order in orders)
            bought = sum(max(order.delta, 0) for order in orders)
            deltas[key] = (net + sold, net + bought)
            basis += self._basis(key, [*legs, *orders])
        held = self.held()
        for order in self.orders:
            if order.quantity < 0:
                held[order.instrument] = held.get(order.instrument, 0) + order.quantity
        return _requirement(sum(high.values()), basis, self._credits(deltas, low), self._minimum(held))

    def sizes(self) -> tuple[int, int]:
        """The largest of what must stay below MAX_EXPOSURE: of positions alone, and with the orders."""

        def reach(moves: Sequence[Leg | OrderPart]) -> tuple[int, int, int]:
            losses = deltas = shorts = 0
            for move in moves:
                i, lots = move.instrument, abs(move.quantity)
                unscanned = isinstance(move, OrderPart) and self._unscanned(i)
                losses += 0 if unscanned else lots * int(self.profiles.largest[self.profile, i])
                deltas += abs(move.delta)
                charged = self.profiles.short_option[self.profile, self.market.underlying[i]] > 0
                sells = move.quantity < 0 or isinstance(move, Leg)
                if self.market.kind[i] == Kind.OPTION and charged and sells:
                    shorts += lots * int(self.market.notional[i]) * FINE
                losses += move.size * FINE if isinstance(move, OrderPart) else 0
            return losses, deltas, shorts

        alone = reach(self.legs)
        together = tuple(one + two for one, two in zip(alone, reach(self.orders), strict=True))
        return max(alone), max(together)

    def equity_size(self) -> int:
        return sum(abs(part.value) for part in self.assets) + sum(
            abs(part.worth) + abs(part.funding) for part in self.positions
        )


def breakdown(account: int, holdings: Holdings, market: Market, profiles: Profiles) -> Breakdown:
    """One account's margin with everything it is made of. The same figures as `risk.requirement.margin_accounts`."""
    portfolio = _Portfolio(account, holdings, market, profiles)
    profile, fees = portfolio.profile, int(holdings.fees_due[account])
    groups = tuple(portfolio.group(key) for key in portfolio.groups())
    required, bound = portfolio.after(()), portfolio.at_most()
    equity = sum(part.counted for part in portfolio.assets) - fees
    equity += sum(part.counted + part.funding for part in portfolio.positions)
    maintenance, isolated = ceil(Fraction(required.total, FINE)), portfolio.isolated()
    buffer = ceil(_share(maintenance, int(profiles.buffer[profile])))
    initial = max(ceil(_share(ceil(Fraction(bound.total, FINE)), int(profiles.initial[profile]))), maintenance + buffer)
    top = max((group.scan for group in groups), default=0)
    worst = min((group.worst for group in groups if group.worst is not None and group.scan == top), default=0)
    status = Reason.NONE if portfolio.complete else Reason.NO_RISK_ARRAY
    unpayable = MAX_EXPOSURE // FINE
    alone, together = portfolio.sizes()
    if not portfolio.valued or together >= MAX_EXPOSURE:
        initial = unpayable
    size = portfolio.equity_size() + abs(fees)
    if not portfolio.fits or size >= 2**61 or alone >= MAX_EXPOSURE:
        equity = min(equity, 0) if portfolio.fits and size < 2**61 else 0
        maintenance, buffer, initial, worst, status = unpayable, 0, unpayable, 0, Reason.RISK_BOUND_EXCEEDED
        isolated = unpayable
    return Breakdown(
        account=account,
        profile=profile,
        assets=tuple(portfolio.assets),
        positions=tuple(portfolio.positions),
        fees_due=fees,
        groups=groups,
        required=required,
        orders=tuple(portfolio.orders),
        required_with_orders=bound,
        equity=equity,
        maintenance=maintenance,
        buffer=buffer,
        initial=initial,
        isolated=isolated,
        worst=worst,
        status=status,
    )


def requirement_of_subset(
    account: int, fills: Collection[int], holdings: Holdings, market: Market, profiles: Profiles
) -> int:
    """The requirement in micro-dollars, rounded up, when exactly these of the account's valued orders are filled."""
    return ceil(Fraction(_Portfolio(account, holdings, market, profiles).after(fills).total, FINE))
