"""Summary, charts and pictures in, one self-contained HTML page out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dopamine_core.evaluation.report_media import KeyFrame

STYLE = """
:root{--paper:#f7f8fa;--card:#fff;--ink:#1b2430;--soft:#5c6878;--line:#e1e6ec;--a:#1f6feb;--b:#0f9d6b;--c:#d9822b;
--d:#a855c7;--e:#d6456b;--quiet:#95a1b0;--bad:#d6456b;--shade:rgba(31,111,235,.07)}
@media(prefers-color-scheme:dark){:root{--paper:#0f131a;--card:#171d26;--ink:#e6ecf3;--soft:#9aa7b7;--line:#2a3340;
--a:#5aa7ff;--b:#3ecf8e;--c:#f0a35a;--d:#c58af0;--e:#ff7d9c;--quiet:#66738a;--bad:#ff7d9c;
--shade:rgba(90,167,255,.09)}}
*{box-sizing:border-box}html{color-scheme:light dark}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1060px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:30px;margin:0 0 6px;letter-spacing:-.01em}h2{font-size:20px;margin:44px 0 12px}
h3{font-size:15px;margin:0 0 8px;color:var(--soft);font-weight:600}
p{margin:0 0 10px}.meta{color:var(--soft)}.lead{font-size:19px;margin:18px 0 22px}
section.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:0 0 16px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:13px 14px}
.tile b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13.5px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:16px;margin-bottom:16px}
.two section.card{margin:0;min-width:0}
ul.words{padding-left:20px;margin:0}ul.words li{margin:5px 0}
figure{margin:0}svg{width:100%;height:auto;display:block}
figcaption{display:flex;flex-wrap:wrap;gap:4px 16px;color:var(--soft);font-size:13.5px;margin-top:4px}
.key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;
vertical-align:middle;background:var(--quiet)}
.key.a::before{background:var(--a)}.key.b::before{background:var(--b)}.key.c::before{background:var(--c)}
.key.d::before{background:var(--d)}.key.e::before{background:var(--e)}
svg text{font:12px system-ui,sans-serif;fill:var(--soft)}svg text.name{fill:var(--ink)}
.grid{stroke:var(--line)}.axis{stroke:var(--quiet)}.shade{fill:var(--shade)}.bar{fill:var(--a)}.bad{fill:var(--bad)}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}
.line.c{stroke:var(--c)}.line.d{stroke:var(--d)}.line.e{stroke:var(--e)}.line.quiet{stroke:var(--quiet)}
.dot{stroke:var(--card);stroke-width:1.5}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}
.dot.d{fill:var(--d)}.dot.e{fill:var(--e)}.dot.quiet{fill:var(--quiet)}
.mark{stroke:var(--quiet);stroke-dasharray:3 3}.mark.b{stroke:var(--b);stroke-width:1.5}
.frames{display:grid;grid-template-columns:repeat(6,1fr);gap:6px;margin-top:10px}
.frames div{font-size:12.5px;color:var(--soft);text-align:center}
.frames img{width:100%;display:block;border-radius:5px;margin-bottom:4px}
video{width:100%;border-radius:10px;display:block;background:#14181f}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft)}th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}td.code{font-family:ui-monospace,monospace;font-size:12.5px;word-break:break-all}
.none,.note{margin:8px 0 0;color:var(--soft)}.yes{color:var(--b)}.no{color:var(--bad)}
details summary{cursor:pointer;color:var(--soft)}
@media(max-width:560px){.two{grid-template-columns:1fr}.frames{grid-template-columns:repeat(3,1fr)}}
"""


def page(title: str, body: Sequence[str]) -> str:
    """Wrap the body; no script, no outside file."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def head(title: str, meta: str, lead: str) -> str:
    """Title, line of facts and the lead sentence."""
    return f'<h1>{escape(title)}</h1><p class="meta">{escape(meta)}</p><p class="lead">{escape(lead)}</p>'


def tiles(items: Sequence[tuple[str, str]]) -> str:
    """Large figures with a caption each."""
    cells = "".join(
        f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for v, k in items
    )
    return f'<div class="tiles">{cells}</div>'


def words(sentences: Sequence[str]) -> str:
    """A list of sentences."""
    return (
        '<ul class="words">' + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>"
    )


def section(title: str, *parts: str) -> str:
    """A heading with what belongs to it."""
    return f"<h2>{escape(title)}</h2>{''.join(parts)}"


def card(title: str, *parts: str) -> str:
    """A framed block."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'<section class="card">{heading}{"".join(parts)}</section>'


def pair(*cards: str) -> str:
    """Cards side by side where there is room."""
    return f'<div class="two">{"".join(cards)}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], code: Sequence[int] = ()) -> str:
    """A table; ``code`` names the columns set in a fixed-width face."""
    top = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = []
    for row in rows:
        cells = "".join(
            f'<td class="code">{_cell(value)}</td>' if index in code else f"<td>{_cell(value)}</td>"
            for index, value in enumerate(row)
        )
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def facts(values: Mapping[str, Any]) -> str:
    """Name-value table."""
    return table(("", ""), [(key, value) for key, value in values.items()], code=(1,))


def strip(frames: Sequence[KeyFrame]) -> str:
    """Key frames in a row: front above wrist, time and progress below."""
    if not frames:
        return '<p class="none">No frames could be read from the bag.</p>'
    cells = []
    for frame in frames:
        reading = "no reading" if frame.progress is None else f"Φ {frame.progress:.2f}"
        when = f"{frame.time_s:.1f} s"
        cells.append(
            f'<div><img src="{frame.front}" alt="front camera at {when}">'
            f'<img src="{frame.wrist}" alt="wrist camera at {when}">{when} · {reading}</div>'
        )
    return f'<div class="frames">{"".join(cells)}</div>'


def video(path: Path) -> str:
    """An embedded MP4."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>'


def note(text: str) -> str:
    """A quiet paragraph."""
    return f'<p class="note">{escape(text)}</p>'


def details(title: str, *parts: str) -> str:
    """A block that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>"


def _cell(value: Any) -> str:
    if value is None:
        return '<span class="none">–</span>'
    if isinstance(value, bool):
        return '<span class="yes">yes</span>' if value else '<span class="no">no</span>'
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return escape(str(value))
