"""An HTML page that needs nothing from anywhere: its frame and style, a part with a plot, a part with a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from services import charts


def document(title: str, body: str, style: str = "") -> str:
    """The page around its body; `style` is what it needs besides every page's."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · Novate</title><style>{_STYLE}{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def section(key: str, title: str, text: str, drawing: charts.Drawing, height: float = 1.0) -> str:
    """A part of the page with a plot under its caption."""
    plot = charts.plot(key, title, text, drawing, height)
    caption = f"<figcaption>{escape(text)}</figcaption>"
    return f'<section id="{key}"><h2>{escape(title)}</h2><figure>{caption}{plot}</figure></section>'


def table(key: str, title: str, heading: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """A table of which the first `texts` columns are text, the others numbers."""
    if not rows:
        return ""
    lines = scrolled(title, heading, rows, texts)
    return f'<section id="{key}"><h2>{escape(title)}</h2>{lines}</section>'


def scrolled(name: str, heading: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """A table in a box of its own, which scrolls where it is too wide; `name` is read aloud. See `table`."""
    cells = [" class=number" if column >= texts else "" for column in range(len(heading))]
    head = "".join(f'<th scope="col"{cells[k]}>{escape(name)}</th>' for k, name in enumerate(heading))
    lines = "".join(
        "<tr>" + "".join(f"<td{cells[k]}>{escape(value)}</td>" for k, value in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class=scroll tabindex="0" role="region" aria-label="{escape(name)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table></div>"
    )


_STYLE: Final = """
:root{--ink:#1b1f27;--muted:#5d6675;--grid:#e3e6eb;--surface:#fff;--page:#f5f6f8;--first:#c2620a;--second:#5257d0;
--equity:#0b7f72;--margin:#8a5cc7;--gain:#2166ac;--loss:#c23b22;--good:#0b7f5a;--bad:#c23b22}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaf0;--muted:#a0a8b8;--grid:#2d333f;--surface:#191d25;--page:#10131a;
--first:#f2a254;--second:#9499ff;--equity:#45c9b4;--margin:#bd98ef;--gain:#74aee8;--loss:#f27d66;
--good:#4fd0a5;--bad:#f27d66}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:clamp(1.5rem,4.5vw,2.2rem);line-height:1.15;margin:.1rem 0 .4rem;letter-spacing:-.02em;text-wrap:balance}
h2{font-size:1.15rem;margin:0 0 .3rem}
.eyebrow{margin:0;color:var(--muted);font-size:.85rem;letter-spacing:.04em}
.period{margin:0 0 1rem;color:var(--muted)}
.verdict{margin:0;padding:.6rem .9rem;border-left:4px solid;background:var(--surface);border-radius:0 .4rem .4rem 0;
overflow-wrap:anywhere}
.verdict.good{border-color:var(--good)}.verdict.good b{color:var(--good)}
.verdict.bad{border-color:var(--bad)}.verdict.bad b{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(5,1fr);gap:1px;margin:1rem 0;background:var(--grid);
border:1px solid var(--grid);border-radius:.6rem;overflow:hidden}
.tiles div{background:var(--surface);padding:.7rem .8rem;
display:flex;flex-direction:column;justify-content:space-between}
dt{font-size:.8rem;line-height:1.3;color:var(--muted)}
dd{margin:.15rem 0 0;font-size:1.2rem;font-weight:650;font-variant-numeric:tabular-nums}
dd small{font-size:.75rem;font-weight:400;color:var(--muted)}
section{background:var(--surface);border:1px solid var(--grid);border-radius:.6rem;padding:1rem 1.1rem;margin:1rem 0}
figure{margin:0}figcaption,section p{color:var(--muted);font-size:.93rem;margin:0 0 .6rem;max-width:70ch}
section p b{color:var(--ink)}
.plot svg{display:block;width:100%;height:auto;font-family:inherit}
.plot svg *{stroke-linejoin:round;stroke-linecap:butt}
.plot.narrow{display:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .7rem .4rem 0;text-align:left;border-bottom:1px solid var(--grid);white-space:nowrap}
th{color:var(--muted);font-weight:500;font-size:.8rem}
tr:last-child td{border-bottom:0}
.number{text-align:right}
@media (max-width:760px){.tiles{grid-template-columns:repeat(2,1fr)}}
@media (max-width:600px){.plot.wide{display:none}.plot.narrow{display:block}section{padding:.8rem}dd{font-size:1.05rem}}
@media print{.plot.narrow{display:none}.plot.wide{display:block}section{break-inside:avoid}}
"""
