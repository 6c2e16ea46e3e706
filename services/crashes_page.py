"""Real crashes as one self-contained HTML page: what fell, what was sold by force, what it cost whom, policy by policy.

`services/crashes_charts.py` draws; here are the page's order, its words and its tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from schemas.units import format_time
from services import charts, page
from services import crashes_charts as drawn
from services.crashes import CRASHES, WAYS, Cleared
from services.crashes_charts import PARTS, is_baseline, together, versus

Rows = list[list[str]]
Column = tuple[str, Callable[[Cleared], str]]


def _count(value: float) -> str:
    return f"{value:,.0f}"


FIGURES: Final[Sequence[Column]] = (
    ("policy", lambda c: c.way),
    ("called", lambda c: _count(c.losses.called)),
    ("liquidated", lambda c: _count(c.losses.liquidated)),
    ("sales", lambda c: _count(c.losses.sales)),
    ("sold", lambda c: charts.dollars(c.losses.notional)),
    ("gap", lambda c: charts.dollars(c.losses.discount)),
    ("mean bp", lambda c: _count(c.losses.mean_gap)),
    ("worst bp", lambda c: _count(c.losses.worst_gap)),
    ("fees", lambda c: charts.dollars(c.losses.fees)),
    ("lost to ADL", lambda c: charts.dollars(c.losses.taken)),
    ("deficits", lambda c: _count(c.losses.deficits)),
    ("funds paid", lambda c: charts.dollars(c.losses.fund_paid)),
    ("funds before", lambda c: charts.dollars(c.losses.fund_before)),
    ("funds left", lambda c: charts.dollars(c.losses.fund_left)),
    ("withheld", lambda c: charts.dollars(c.losses.withheld)),
    ("unpaid", lambda c: charts.dollars(c.losses.unpaid)),
    ("ADL", lambda c: charts.dollars(c.losses.deleveraged)),
    ("of", lambda c: _count(c.losses.counterparties)),
    ("gave up", lambda c: charts.dollars(c.losses.given_up)),
    ("failed lost", lambda c: charts.dollars(c.losses.failed_lost)),
    ("buyers", lambda c: charts.dollars(c.losses.liquidators_gained)),
    ("accounts", lambda c: charts.dollars(c.losses.cost)),
    ("others", lambda c: charts.dollars(c.losses.others)),
    ("together", lambda c: charts.dollars(together(c))),
    ("entries", lambda c: _count(c.entries)),
    ("audit", lambda c: c.verdict or "not audited"),
)
"""every figure of a run, in the order of docs/crashes.md"""


def html(done: Sequence[Cleared], made: str) -> str:
    """The page. The same runs give the same bytes; it asks for nothing from anywhere. `made`: how, in a sentence."""
    cases = _cases(done)
    title = "Real crashes: what default management costs, and whom"
    body = [
        f"<header><p class=eyebrow>Novate · crashes</p><h1>{title}</h1><p class=period>{escape(made)}</p></header>",
        _contents(cases),
        page.table("overview", "Cost to accounts and others together", *_overview(cases), 1),
        *(page.table(f"overview-{_key(name)}", f"Together against {name}", *_versus(cases, name), 1)
          for name in dict.fromkeys(one.way for one in done if is_baseline(one))),
        *(_case(one) for one in cases),
        _method(),
    ]  # fmt: skip
    return page.document(title, "\n".join(body), _STYLE)


def _cases(done: Sequence[Cleared]) -> list[list[Cleared]]:
    """By crash and condition, baselines last."""
    cases: dict[tuple[str, str], list[Cleared]] = {}
    for one in sorted(done, key=is_baseline):
        cases.setdefault((one.crash, one.condition), []).append(one)
    order = list(dict.fromkeys((one.crash, one.condition) for one in done))
    return [cases[one] for one in order]


def _key(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _name(case: Sequence[Cleared]) -> str:
    crash = CRASHES.get(case[0].crash)
    return f"{crash.title if crash else case[0].crash}, {case[0].condition}"


def _id(case: Sequence[Cleared]) -> str:
    return _key(f"{case[0].crash}-{case[0].condition}")


def _contents(cases: Sequence[Sequence[Cleared]]) -> str:
    entries = "".join(f'<li><a href="#{_id(case)}">{escape(_name(case))}</a></li>' for case in cases)
    return f'<nav aria-label="Crashes on this page"><ul>{entries}</ul></nav>'


def _overview(cases: Sequence[Sequence[Cleared]]) -> tuple[Sequence[str], Rows]:
    ways = list(dict.fromkeys(one.way for one in sorted((one for case in cases for one in case), key=is_baseline)))
    rows = []
    for case in cases:
        cost = {one.way: charts.dollars(together(one)) for one in case}
        rows.append([_name(case), *(cost.get(way, "–") for way in ways)])
    return ("crash", *ways), rows


def _versus(cases: Sequence[Sequence[Cleared]], baseline: str) -> tuple[Sequence[str], Rows]:
    ways = list(dict.fromkeys(one.way for case in cases for one in case if not is_baseline(one)))
    rows = []
    for case in cases:
        cost = {one.way: together(one) for one in case}
        told = {way: versus(cost[way], cost[baseline]) for way in ways if way in cost and baseline in cost}
        rows.append([_name(case), *(told.get(way, "–") for way in ways)])
    return ("crash", *ways), rows


def _case(case: Sequence[Cleared]) -> str:
    key, name = _id(case), _name(case)
    bases = [one for one in case if is_baseline(one)]
    policies = [one for one in case if not is_baseline(one)]
    deepest = min(drawn.falls(case[0]).items(), key=lambda pair: pair[1], default=("–", 0.0))
    sold = [sum(one.liquidated) for one in case]
    costs = [together(one) for one in case]
    tiles = (
        ("deepest fall", f"{escape(deepest[0])} {drawn.percent(deepest[1])}"),
        ("closed by force", _range(sold)),
        ("accounts liquidated", _numbers([one.losses.liquidated for one in case])),
        ("accounts and others together", _range(costs)),
        ("left of funds and capital", _range([one.losses.fund_left for one in case])),
    )
    body = [
        f'<h2 id="{key}">{escape(name)}</h2>',
        f"<p class=period>{_window(case[0])} · {len(policies)} {'policy' if len(policies) == 1 else 'policies'}, "
        f"{len(bases)} {'baseline' if len(bases) == 1 else 'baselines'}</p>",
        _verdict(policies, bases),
        "<dl class=tiles>" + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles) + "</dl>",
        _prices(key, name, case),
        _cost(key, name, case) if any(costs) else "",
        _against(key, name, policies, bases) if any(costs) and policies and bases else "",
        _funds(key, name, case),
        _figures(key, name, case),
    ]
    return f'<article aria-labelledby="{key}">' + "\n".join(body) + "</article>"


def _prices(key: str, name: str, case: Sequence[Cleared]) -> str:
    text = (
        "Above: prices relative to the first mark. Below: what was closed by force in each hour, deleveraging "
        "included, at the mark; one scale for all policies. Baselines are grey."
    )
    title = "The crash, and when positions were closed by force"
    return _figure(f"{key}-prices", name, title, text, drawn.fall(case), drawn.fall_height(case), _by_hour(case))


def _cost(key: str, name: str, case: Sequence[Cleared]) -> str:
    text = (
        "Warm colours: what failing accounts lost to it. Cold colours and grey: what others bore. At the end of a bar: "
        "both together. Lowest on top; baselines apart, below."
    )
    title = "What liquidation cost, and whom"
    return _figure(f"{key}-cost", name, title, text, drawn.cost(case), drawn.cost_height(case), _parts(case))


def _against(key: str, name: str, policies: Sequence[Cleared], bases: Sequence[Cleared]) -> str:
    text = (
        "Accounts and others together: each policy's cost less the baseline's, in per cent of the baseline's. To the "
        "left is cheaper."
    )
    drawing, height = drawn.difference(policies, bases), drawn.difference_height(policies)
    rows = _differences(policies, bases)
    return _figure(f"{key}-against", name, "Against the baselines", text, drawing, height, rows)


def _funds(key: str, name: str, case: Sequence[Cleared]) -> str:
    spared = all(min(one.cover, default=0) >= (one.cover[0] if one.cover else 0) for one in case)
    text = (
        "Insurance fund, default fund and own capital together"
        f"{', which no policy brought below where they began' if spared else ''}. Baselines are grey."
    )
    drawing, height = drawn.cover(case), drawn.cover_height(case)
    return _figure(f"{key}-funds", name, "Funds and capital", text, drawing, height, _covers(case))


def _figures(key: str, name: str, case: Sequence[Cleared]) -> str:
    rows = [[show(one) for _, show in FIGURES] for one in case]
    table = page.scrolled(f"{name}: all figures", [title for title, _ in FIGURES], rows, 1)
    return (
        f'<section id="{key}-figures"><h3>All figures</h3><p>Gaps in basis points of the mark; the words are told '
        f'at the <a href="#method">end of the page</a>.</p>{table}</section>'
    )


def _window(one: Cleared) -> str:
    if not one.times:
        return "no marks"
    first, last = (format_time(time)[:16].replace("T", " ") for time in (one.times[0], one.times[-1]))
    return f"{first} to {last} UTC · {len(one.times):,} marks"


def _range(amounts: Sequence[int]) -> str:
    low, high = charts.dollars(min(amounts)), charts.dollars(max(amounts))
    return low if low == high else f"{low} <small>to</small> {high}"


def _numbers(counts: Sequence[int]) -> str:
    low, high = f"{min(counts):,}", f"{max(counts):,}"
    return low if low == high else f"{low} <small>to</small> {high}"


def _verdict(policies: Sequence[Cleared], bases: Sequence[Cleared]) -> str:
    """The cheapest policy and where it stands, in a sentence."""
    if not any(together(one) for one in (*policies, *bases)):
        return "<p class='verdict good'>Nothing was lost to liquidation, whoever managed it.</p>"
    if not policies or not bases:
        return ""
    best = min(policies, key=together)
    good = "good" if all(together(best) <= together(one) for one in bases) else "bad"
    told = "; ".join(
        f"{versus(together(best), together(one))} against {one.way} ({charts.dollars(together(one))})" for one in bases
    )
    return (
        f"<p class='verdict {good}'>Cheapest policy: <b>{escape(best.way)}</b>, {charts.dollars(together(best))}: "
        f"accounts {charts.dollars(best.losses.cost)}, others {charts.dollars(best.losses.others)}; "
        f"{escape(told)}.</p>"
    )


def _figure(
    key: str,
    name: str,
    title: str,
    text: str,
    drawing: charts.Drawing,
    height: float,
    rows: tuple[Sequence[str], Rows],
) -> str:
    """A plot, and under it the same figures as a table that is opened when it is wanted."""
    plot = charts.plot(key, f"{name}: {title}", text, drawing, height)
    table = page.scrolled(f"{name}: {title}, figures", *rows, 1)
    return (
        f'<section id="{key}"><h3>{escape(title)}</h3><figure><figcaption>{escape(text)}</figcaption>{plot}</figure>'
        f"<details><summary>The same as a table</summary>{table}</details></section>"
    )


def _by_hour(case: Sequence[Cleared]) -> tuple[Sequence[str], Rows]:
    """Prices at each hour's last mark, and what each policy closed in it."""
    moves = drawn.relative(case[0])
    sold = {one.way: drawn.by_hour(one.times, one.liquidated) for one in case}
    last = {drawn.hour_of(time): place for place, time in enumerate(case[0].times)}
    rows = [
        [
            _clock(hour),
            *(f"{100 * values[place]:+.1f} %".replace("-", "−") for values in moves.values()),
            *(charts.dollars(told.get(hour, 0)) for told in sold.values()),
        ]
        for hour, place in last.items()
    ]
    return ("hour (UTC)", *moves, *sold), rows


def _covers(case: Sequence[Cleared]) -> tuple[Sequence[str], Rows]:
    """Funds and capital at each hour's last mark."""
    last = {drawn.hour_of(time): place for place, time in enumerate(case[0].times)}
    rows = [
        [_clock(hour), *(charts.dollars(one.cover[place]) if one.cover else "–" for one in case)]
        for hour, place in last.items()
    ]
    return ("hour (UTC)", *(one.way for one in case)), rows


def _parts(case: Sequence[Cleared]) -> tuple[Sequence[str], Rows]:
    rows = [
        [one.way, *(charts.dollars(part.of(one)) for part in PARTS), charts.dollars(together(one))]
        for one in drawn.sorted_by_cost(case)
    ]
    return ("policy", *(part.name for part in PARTS), "together"), rows


def _differences(policies: Sequence[Cleared], bases: Sequence[Cleared]) -> tuple[Sequence[str], Rows]:
    rows = [
        [
            one.way,
            *(
                versus(mine, theirs)
                for base in bases
                for mine, theirs in (
                    (one.losses.cost, base.losses.cost),
                    (one.losses.others, base.losses.others),
                    (together(one), together(base)),
                )
            ),
        ]
        for one in policies
    ]
    heading = [f"{what}, {base.way}" for base in bases for what in ("accounts", "others", "together")]
    return ("policy", *heading), rows


def _clock(time: int) -> str:
    return format_time(time)[5:16].replace("T", " ")


_WORDS: Final = (
    ("sold", "value at the mark of what failing accounts sold or bought back"),
    ("gap", "what they got less than the mark; mean and worst in basis points of the mark"),
    ("lost to ADL", "what deleveraging at the bankruptcy price took of equity that failing accounts still had"),
    ("deficits", "accounts that owed with nothing left to sell"),
    ("funds paid", "own capital, insurance fund, default fund"),
    ("withheld", "members' assessments and haircuts of gains"),
    ("unpaid", "owed at the end"),
    ("ADL, of", "value of what was closed against the other side, and of how many accounts"),
    ("gave up", "what those got less than the mark"),
    ("failed lost", "what the liquidated lost in all, the market's part included"),
    ("buyers", "what liquidators gained; a baseline's buyer is not counted"),
    ("accounts", "gap, fees and what was lost to ADL"),
    ("others", "funds paid, withheld, gave up and unpaid"),
)


def _method() -> str:
    words = "".join(f"<div><dt>{escape(word)}</dt><dd>{escape(meaning)}</dd></div>" for word, meaning in _WORDS)
    ways = "".join(f"<div><dt>{escape(one.name)}</dt><dd>{escape(one.said)}</dd></div>" for one in WAYS.values())
    return (
        "<section id=method><h2>How it is made</h2><p>Every run is a whole run of the exchange with the same "
        "customers, first trades and prices, whatever the policy. Prices are recorded ones; forced sales do not push "
        "them. What a forced sale costs is the square-root law with assumed parameters, the same for all. A baseline "
        "sells the whole account at its first breach to a buyer that has no limit and never refuses: better than "
        "life. Money is in dollars at the marks of the time.</p>"
        f"<h3>Words</h3><dl class=words>{words}</dl><h3>Policies</h3><dl class=words>{ways}</dl></section>"
    )


_STYLE: Final = """
article{margin:2.5rem 0 0;padding-top:1.2rem;border-top:2px solid var(--grid)}
article>h2{font-size:1.5rem;line-height:1.2;margin:0 0 .2rem;scroll-margin-top:1rem}
h3{font-size:1.05rem;margin:0 0 .3rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;margin:0;padding:0}
nav a{display:block;padding:.3rem .7rem;border:1px solid var(--grid);border-radius:.4rem;background:var(--surface);
color:var(--ink);font-size:.9rem;text-decoration:none}
nav a:hover{text-decoration:underline}
section p a{color:inherit}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--second);outline-offset:2px}
details{margin-top:.6rem}summary{cursor:pointer;color:var(--muted);font-size:.9rem;width:fit-content}
details .scroll{margin-top:.4rem;max-height:24rem;overflow:auto}
th:first-child,td:first-child{position:sticky;left:0;background:var(--surface)}
.words{display:grid;gap:.3rem;margin:0 0 1rem}
.words div{display:grid;grid-template-columns:9rem 1fr;gap:.8rem}
.words dt{font-size:.9rem;color:var(--ink)}.words dd{margin:0;font-size:.9rem;font-weight:400;color:var(--muted)}
@media (max-width:600px){th:first-child,td:first-child{white-space:normal;min-width:7rem}
.words div{grid-template-columns:1fr;gap:0}}
"""
