"""The command `novate surface`: an exchange's option chain fitted, checked, measured against its quotes and drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import numpy as np
import typer
from matplotlib.figure import Figure

from risk.surface.curves import BadCurve, Discounts, Pair, by_parity, forward, forwards, rate
from risk.surface.fitting import Quote
from risk.surface.surface import ArbitrageLeft, Fit, NoExpiries, Surface, calibrated, checked, measured
from risk.surface.svi import variance
from risk.volatility import YEAR
from schemas.units import format_time
from services.charts import FIRST, SECOND, Drawing, Size, plot
from services.history import read_chain, read_yields
from services.tables import TableError
from services.terminal import CONSOLE, Refused, print_json

app = typer.Typer(no_args_is_help=True)

_NONE: Final = (0.0, 0.0)
"""no bid and no ask"""


@app.callback()
def _group() -> None:
    """With a callback an app of one command is a group, as `novate` expects."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One currency of a chain: its quotes by expiry, the surface, and how it meets them."""

    currency: str
    quotes: Mapping[int, Sequence[Quote]]
    surface: Surface
    every: Fit
    """two-sided quotes"""
    out: Fit
    """those out of the money"""
    spot: float
    """dollars"""
    forwards: Mapping[int, float]
    """dollars by expiry: by put-call parity, and between and past those that it tells along their curve"""
    by_parity: frozenset[int]
    """the expiries whose forward parity tells"""


def fitted(path: Path) -> list[Fitted]:
    """Each currency of a chain's snapshot. Raises TableError, and what `risk.surface.surface.calibrated` raises."""
    quotes: dict[str, dict[int, list[Quote]]] = {}
    times: dict[str, int] = {}
    spots: dict[str, list[float]] = {}
    sides: dict[str, dict[int, dict[float, list[tuple[float, float]]]]] = {}
    for row in read_chain(path):
        # prices are in coin: times the forward they are dollars, undiscounted
        bid, ask = ((side or 0.0) * row.forward for side in (row.bid, row.ask))
        one = Quote(row.instrument, row.call, row.forward, row.strike, bid, ask, row.mark_volatility)
        quotes.setdefault(row.currency, {}).setdefault(row.expiry, []).append(one)
        times[row.currency] = max(times.get(row.currency, 0), row.time)
        spots.setdefault(row.currency, []).append(row.index_price)
        both = sides.setdefault(row.currency, {}).setdefault(row.expiry, {}).setdefault(row.strike, [_NONE, _NONE])
        both[0 if row.call else 1] = (row.bid or 0.0, row.ask or 0.0)
    made = []
    for currency, by_expiry in quotes.items():
        venue = {expiry: median(one.forward for one in these) for expiry, these in by_expiry.items()}
        surface = calibrated(by_expiry, venue, times[currency], YEAR)
        outer = {
            expiry: [one for one in these if one.call == (one.strike >= one.forward)]
            for expiry, these in by_expiry.items()
        }
        spot, time = median(spots[currency]), times[currency]
        ours, told_by = _forwards(spot, sides[currency], venue, time)
        every, out = measured(surface, by_expiry), measured(surface, outer)
        made.append(Fitted(currency, by_expiry, surface, every, out, spot, ours, told_by))
    return made


def _forwards(
    spot: float,
    sides: Mapping[int, Mapping[float, Sequence[tuple[float, float]]]],
    venue: Mapping[int, float],
    time: int,
) -> tuple[dict[int, float], frozenset[int]]:
    """Forwards by expiry, and those that parity tells; where it tells none, the venue's own."""
    told = {
        expiry: by_parity([Pair(strike, *call, *put) for strike, (call, put) in strikes.items()])
        for expiry, strikes in sides.items()
    }
    known = {expiry: one for expiry, one in told.items() if one is not None}
    if not known:
        return dict(venue), frozenset()
    curve = forwards(spot, {(expiry - time) / YEAR: one for expiry, one in known.items()}, time)
    return {expiry: known.get(expiry, float(forward(curve, (expiry - time) / YEAR))) for expiry in sides}, frozenset(
        known
    )


def market_of(several: Sequence[Fitted], curve: Discounts | None, settlement: str = "USDC") -> dict[str, object]:
    """market.json: the spots, and for each expiry with a slice its forward, its rate (0 without a curve) and its SVI,
    each with its age. The settlement asset is taken at a dollar."""
    time = max(one.surface.time for one in several)
    underlyings: dict[str, object] = {}
    for one in several:
        age = (time - one.surface.time) / 1e6
        expiries = []
        for expiry, slice_ in zip(one.surface.expiries, one.surface.slices, strict=True):
            oldest = one.surface.time if curve is None else min(curve.time, one.surface.time)
            expiries.append(
                {
                    "expiry": format_time(expiry).replace(".000000Z", "Z"),
                    "forward": one.forwards[expiry],
                    "rate": 0.0 if curve is None else float(rate(curve, (expiry - time) / YEAR)),
                    "svi": asdict(slice_),
                    "curve_age": (time - oldest) / 1e6,
                    "surface_age": age,
                }
            )
        underlyings[one.currency] = {"spot": one.spot, "age": age, "expiries": expiries}
    return {
        "time": format_time(time).replace(".000000Z", "Z"),
        "settlement": {"asset": settlement, "price": 1},
        "underlyings": underlyings,
    }


def told(one: Fitted) -> dict[str, object]:
    """What is known of a fit, for programs."""
    return {
        "currency": one.currency,
        "time": format_time(one.surface.time),
        "method": one.surface.method.value,
        "spot": one.spot,
        "forwards": {
            format_time(expiry): {"forward": one.forwards[expiry], "by_parity": expiry in one.by_parity}
            for expiry in sorted(one.forwards)
        },
        "breaches": [each._asdict() for each in checked(one.surface, 2.0)],
        "quotes": one.every.quotes,
        "within": one.every.share,
        "out_of_the_money_quotes": one.out.quotes,
        "out_of_the_money_within": one.out.share,
        "left_out": {format_time(expiry): why for expiry, why in one.surface.left_out.items()},
        "slices": {
            format_time(expiry): asdict(each)
            for expiry, each in zip(one.surface.expiries, one.surface.slices, strict=True)
        },
        "outside": [each._asdict() for each in one.every.outside],
    }


def page(several: Sequence[Fitted], name: str) -> str:
    """A page of its own: every expiry's smile with the venue's volatilities, and the quotes that are not met."""
    parts = []
    for one in several:
        parts.append(
            f"<h2>{escape(one.currency)}, {format_time(one.surface.time)}: {one.surface.method.value}</h2>"
            f"<p>{one.every.share:.2%} of {one.every.quotes} two-sided quotes within bid and ask;"
            f" out of the money {one.out.share:.2%} of {one.out.quotes}."
            f" Arbitrages found on the dense grid: {len(checked(one.surface, 2.0))}.</p>"
        )
        for number, expiry in enumerate(one.surface.expiries):
            title = f"{one.currency} {format_time(expiry)}"
            parts.append(f"<h3>{escape(title)}</h3>")
            parts.append(
                plot(f"{one.currency}-{number}", title, "Volatility over strike: fit and venue", _smile(one, number))
            )
        rows = "".join(
            f"<tr><td>{escape(each.instrument)}<td>{each.volatility:.4f}<td>{each.price:.2f}"
            f"<td>{each.bid:.2f}<td>{each.ask:.2f}"
            for each in one.every.outside
        )
        parts.append(f"<table><tr><th>outside<th>volatility<th>model, $<th>bid, $<th>ask, ${rows}</table>")
    return _PAGE.format(title=escape(name), body="\n".join(parts))


def _smile(one: Fitted, number: int) -> Drawing:
    svi, quotes = one.surface.slices[number], one.quotes[one.surface.expiries[number]]
    strikes = np.array(sorted({each.strike for each in quotes}))
    wide = np.linspace(strikes[0], strikes[-1], 200)
    k = np.log(wide / svi.forward)
    told_by = sorted({(each.strike, each.reference) for each in quotes if each.reference})

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.subplots()
        axes.plot(wide, 100 * np.sqrt(variance(svi, k) / svi.tau), color=FIRST, linewidth=1.6, label="fit")
        axes.plot(
            [strike for strike, _ in told_by],
            [100 * volatility for _, volatility in told_by],
            color=SECOND,
            linestyle="none",
            marker=".",
            markersize=4 if size.narrow else 5,
            label="venue",
        )
        axes.legend()

    return draw


@app.command("surface")
def surface_command(
    chain: Annotated[Path, typer.Argument(help="An option chain's snapshot, CSV or gzip", metavar="FILE")],
    out: Annotated[Path | None, typer.Option(help="Write a page of plots here", metavar="PAGE.html")] = None,
    market: Annotated[
        Path | None, typer.Option(help="Write the surface as a market.json for novate margin here", metavar="FILE")
    ] = None,
    yields: Annotated[
        Path | None, typer.Option(help="Treasury par yields (date,m1,m3,...), for the market's rates", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Fit a chain's volatility surface, check it for arbitrage, say which quotes it meets, and draw it."""
    try:
        several = fitted(chain)
        if market is not None:
            curve = None if yields is None else read_yields(yields, max(one.surface.time for one in several))
            market.write_text(json.dumps(market_of(several, curve), indent=1) + "\n", encoding="utf-8")
    except (TableError, NoExpiries, ArbitrageLeft, BadCurve) as error:
        raise Refused(str(error)) from error
    if out is not None:
        out.write_text(page(several, chain.name), encoding="utf-8")
    if as_json:
        print_json([told(one) for one in several])
        return
    for one in several:
        CONSOLE.print(
            f"{one.currency}: {len(one.surface.slices)} expiries, {one.surface.method.value};"
            f" {one.every.share:.2%} of {one.every.quotes} quotes within bid and ask,"
            f" out of the money {one.out.share:.2%} of {one.out.quotes};"
            f" {len(checked(one.surface, 2.0))} arbitrages;"
            f" forwards by parity: {len(one.by_parity)} of {len(one.forwards)}"
        )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e9ed); --muted: light-dark(#5b6570, #9aa5b1);
 --grid: light-dark(#dde2e7, #333b44); --surface: light-dark(#fff, #14181d); --first: #2b7de0; --second: #e07a2b; }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--surface); margin: 2rem auto;
 max-width: 60rem; padding: 0 1rem; }}
td, th {{ text-align: right; padding: 0 .8rem; }} .narrow {{ display: none; }}
@media (max-width: 40rem) {{ .wide {{ display: none; }} .narrow {{ display: block; }} }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
