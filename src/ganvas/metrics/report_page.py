"""How a report looks: its style, light and dark, and the few lines that move its slider."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

INK = "#808080"
"""Of axes and labels: readable on white and on black."""
LINES = ("#3b82f6", "#e8833a", "#22a06b", "#b556d6")

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --paper: #fff; --card: #f5f6f8; --line: #dcdfe4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9ba1a8; --paper: #15171a; --card: #1e2125; --line: #33373d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: .95rem; margin: 0 0 .4rem; }
p { margin: .25rem 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem; margin: 1rem 0 0; }
dl div { background: var(--card); border-radius: 8px; padding: .6rem .8rem; }
dt, figcaption, .note, th { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.note { margin-top: .5rem; }
.reason { color: #c2410c; }
@media (prefers-color-scheme: dark) { .reason { color: #fb923c; } }
.state { font-size: .8rem; font-weight: 600; vertical-align: middle; border-radius: 99px; padding: .2rem .7rem;
  color: #fff; background: #6b7280; }
.state.finished { background: #15803d; } .state.running, .state.starting { background: #1d4ed8; }
.state.stopped { background: #a16207; } .state.failed { background: #b91c1c; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); }
table.scores td:nth-child(2) { font-size: 1.1rem; white-space: nowrap; }
table.scores td:nth-child(3) { min-width: 16rem; }
table.facts { font-size: .85rem; } table.facts td:first-child { color: var(--soft); white-space: nowrap; }
table.facts td:last-child { overflow-wrap: anywhere; }
figure { margin: 0; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.25rem; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 1.25rem; }
.curves figure { background: var(--card); border-radius: 8px; padding: .9rem; }
.curves img { width: 100%; height: auto; display: block; }
img.grid { max-width: 100%; height: auto; border-radius: 6px; }
img[hidden] { display: none; }
.near { display: flex; gap: .4rem; }
.near figcaption { max-width: 6rem; }
#slider { width: min(100%, 33rem); display: block; margin-top: .5rem; }
pre { background: var(--card); border-radius: 8px; padding: .9rem; overflow-x: auto; font-size: .82rem; }
summary { cursor: pointer; }
"""

SLIDER = """<script>
const frames = document.querySelectorAll("#frames img"), seen = document.getElementById("seen");
document.getElementById("slider").addEventListener("input", event => {
  frames.forEach((frame, i) => { frame.hidden = i !== Number(event.target.value); });
  seen.textContent = frames[event.target.value].dataset.images;
});
</script>"""


def page(title: str, content: str) -> str:
    """A whole HTML page; `content` is HTML, `title` is text."""
    # The policy keeps the promise that a report asks nothing of the network, whatever a data set's names hold.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)} - ganvas</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{content}\n</body>\n</html>\n"
    )


def escape(value: object) -> str:
    """Text as HTML, fit for attributes too."""
    return html.escape(str(value), quote=True)


def section(title: str, content: str) -> str:
    """A part of a page; nothing where it has no content."""
    return f"<section><h2>{title}</h2>\n{content}\n</section>" if content else ""


def details(title: str, text: str) -> str:
    """Plain text that opens on a click; nothing where there is none."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if text.strip() else ""


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), kind: str = "") -> str:
    """A table of cells that are HTML already; nothing where it has no rows."""
    top = f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{body}</tbody></table></div>' if body else ""


def uri(data: bytes, kind: str) -> str:
    """A picture's bytes (png, webp) as an address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
