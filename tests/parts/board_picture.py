"""A dashboard as an SVG, drawn from its JSON and from what its queries returned. Not Grafana, only close to it."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from parts.prometheus import Sample, filled_in

Ask = Callable[[str], list[Sample]]

WIDTH = 1440
MARGIN = 16
ROW_HEIGHT = 30
GAP = 8
HEAD, FOOT = 64, 40
MOST_LINES = 14
"""More series than these are named as a count, as are those that stay at 0 beside some that do not."""
COLOURS = (
    "#1f77b4", "#e8710a", "#2e8b57", "#d62f4b", "#7e57c2", "#8c6d31", "#c2185b",
    "#0097a7", "#9e9d24", "#5f6b7a", "#ad5c00", "#3949ab", "#00695c", "#6d4c41",
)  # fmt: skip
STYLE = (
    "text{font-family:'DejaVu Sans',Verdana,sans-serif;fill:#24292e}"
    ".t{font-size:13px;font-weight:bold}.a{font-size:10px;fill:#6b7280}.l{font-size:10px}.h{font-size:20px}"
    ".r{font-size:14px;font-weight:bold;fill:#374151}.g{stroke:#e5e7eb;stroke-width:1}"
    ".m{stroke:#9ca3af;stroke-dasharray:3 3}.p{fill:#fff;stroke:#d8dee4}"
    ".s{fill:none;stroke-width:1.6;stroke-linejoin:round}"
)
NOTE = (
    "Drawn by a small renderer of this project from the dashboard's JSON and the results of a real Prometheus during a "
    "test; Grafana could not be run."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its legend and (seconds since the beginning, value) pairs."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def moves(self) -> float:
        values = [value for _, value in self.points]
        return max(values) - min(values) if values else 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """Where something is drawn, pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Span:
    """What is shown: from `begin` to `end`, as of `time.time()`, with a dashed line at `mark`."""

    begin: float
    end: float
    mark: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def picture(dashboard: dict[str, Any], ask: Ask, window: str, span: Span) -> str:
    """The whole dashboard.

    Args:
        dashboard: As Grafana reads it.
        ask: Range query -> its result in the span.
        window: What `$__rate_interval` stands for.
    """
    unit = (WIDTH - 2 * MARGIN) / 24
    parts, bottom = [], 0.0
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        y = HEAD + grid["y"] * ROW_HEIGHT
        box = Box(MARGIN + grid["x"] * unit, y, grid["w"] * unit - GAP, grid["h"] * ROW_HEIGHT - GAP)
        bottom = max(bottom, y + grid["h"] * ROW_HEIGHT)
        if panel["type"] == "row":
            parts.append(f'<text class="r" x="{box.x}" y="{box.y + 18}">{escape(panel["title"])}</text>')
        else:
            parts.extend(_panel(panel, _lines(panel, ask, window, span.begin), box, span))
    height = round(bottom + FOOT)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<style>{STYLE}</style>"
        f'<rect width="{WIDTH}" height="{height}" fill="#f6f7f9"/>'
        f'<text class="h" x="{MARGIN}" y="30">{escape(dashboard["title"])}</text>'
        f'<text class="a" x="{MARGIN}" y="50">{escape(dashboard["description"])}</text>'
        + "\n".join(parts)
        + f'<text class="a" x="{MARGIN}" y="{height - 14}">{escape(NOTE)}</text></svg>\n'
    )


def _lines(panel: dict[str, Any], ask: Ask, window: str, begin: float) -> list[Line]:
    found = []
    for target in panel["targets"]:
        for sample in ask(filled_in(target["expr"], window, {})):
            legend = re.sub(r"{{(\w+)}}", lambda m, s=sample: s["metric"].get(m[1], ""), target["legendFormat"])
            points = [(at - begin, float(value)) for at, value in sample["values"]]
            finite = tuple(point for point in points if math.isfinite(point[1]))
            if finite:
                found.append(Line(legend, finite))
    return found


def _panel(panel: dict[str, Any], lines: Sequence[Line], box: Box, span: Span) -> Iterator[str]:
    shown, seconds = _worth_showing(lines), span.seconds
    yield f'<rect class="p" rx="4" x="{box.x:.1f}" y="{box.y}" width="{box.width:.1f}" height="{box.height}"/>'
    yield f'<text class="t" x="{box.x + 10:.1f}" y="{box.y + 20}">{escape(panel["title"])}</text>'
    legend = list(_legend(shown, len(lines) - len(shown), box))
    plot = Box(box.x + 62, box.y + 34, box.width - 76, box.height - 68 - 14 * len(legend))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    top = _top(max((value for line in shown for _, value in line.points), default=0.0), unit)
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = plot.y + plot.height * (1 - share)
        yield f'<line class="g" x1="{plot.x:.1f}" x2="{plot.x + plot.width:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        label = _told(top * share, unit)
        yield f'<text class="a" text-anchor="end" x="{plot.x - 6:.1f}" y="{y + 3:.1f}">{label}</text>'
    for at in _moments(seconds, plot.width):
        x = plot.x + plot.width * at / seconds
        yield (
            f'<text class="a" text-anchor="middle" x="{x:.1f}" y="{plot.y + plot.height + 14:.1f}">'
            f"{int(at) // 60}:{int(at) % 60:02}</text>"
        )
    x = plot.x + plot.width * (span.mark - span.begin) / seconds
    yield f'<line class="m" x1="{x:.1f}" x2="{x:.1f}" y1="{plot.y:.1f}" y2="{plot.y + plot.height:.1f}"/>'
    for number, line in enumerate(shown):
        for piece in _pieces(line.points, seconds / 40):
            path = " ".join(
                f"{plot.x + plot.width * at / seconds:.1f},{plot.y + plot.height * (1 - value / top):.1f}"
                for at, value in piece
            )
            yield f'<polyline class="s" stroke="{COLOURS[number]}" points="{path}"/>'
    yield from (text for row in legend for text in row)
    if not lines:
        middle = f'x="{box.x + box.width / 2:.1f}" y="{box.y + box.height / 2:.1f}"'
        yield f'<text class="a" text-anchor="middle" {middle}>No data</text>'


def _worth_showing(lines: Sequence[Line]) -> list[Line]:
    moving = [line for line in lines if line.moves or line.points[0][1]] or list(lines)
    return sorted(sorted(moving, key=lambda line: -line.moves)[:MOST_LINES], key=lambda line: line.name)


def _legend(shown: Sequence[Line], hidden: int, box: Box) -> Iterator[list[str]]:
    """Rows of swatches and names at the foot of the panel."""
    names = [*(line.name for line in shown), *([f"{hidden} more, mostly 0"] if hidden else [])]
    rows: list[list[tuple[int, float, str]]] = [[]]
    x = 0.0
    for number, name in enumerate(names):
        width = 26 + 6.3 * len(name)
        if x + width > box.width - 20 and rows[-1]:
            rows.append([])
            x = 0.0
        rows[-1].append((number, x, name))
        x += width
    for row_number, row in enumerate(rows):
        y = box.y + box.height - 10 - 14 * (len(rows) - 1 - row_number)
        yield [_named(number, box.x + 10 + at, y, name, number < len(shown)) for number, at, name in row]


def _named(number: int, x: float, y: float, name: str, has_swatch: bool) -> str:
    swatch = f'<rect x="{x:.1f}" y="{y - 5:.1f}" width="12" height="3" fill="{COLOURS[number % len(COLOURS)]}"/>'
    return f'{swatch if has_swatch else ""}<text class="l" x="{x + 16:.1f}" y="{y:.1f}">{escape(name)}</text>'


def _pieces(points: Sequence[tuple[float, float]], longest_gap: float) -> Iterator[list[tuple[float, float]]]:
    """A line is broken where nothing was measured."""
    piece: list[tuple[float, float]] = []
    for point in points:
        if piece and point[0] - piece[-1][0] > longest_gap:
            yield piece
            piece = []
        piece.append(point)
    yield piece


def _top(value: float, unit: str) -> float:
    """The next round number, whose quarters are round too, of the step of the unit's ladder that it is shown in."""
    if value <= 0:
        return 1.0
    size = next((size for size, _ in _LADDERS[unit] if value >= size), 1.0) if unit in ("s", "bytes") else 1.0
    power = size * 10.0 ** math.floor(math.log10(value / size))
    return next(step * power for step in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if value <= step * power * 1.0001)


def _moments(seconds: float, width: float) -> list[float]:
    """Times of the axis, as many as have room."""
    step = next(one for one in (10, 15, 30, 60, 120, 300, 600, 1800, 3600) if 40 * seconds / one <= width)
    return [float(at) for at in range(0, int(seconds) + 1, step)]


_LADDERS: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs")),
    "bytes": ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")),
    "percentunit": ((0.01, " %"),),
    "short": ((1e6, " M"), (1e3, " K"), (1, "")),
    "currencyUSD": ((1, " $"),),
    "reqps": ((1, " req/s"),),
    "ops": ((1, " ops/s"),),
    "cps": ((1e3, " K/s"), (1, " /s")),
}


def _told(value: float, unit: str) -> str:
    """A value as Grafana would show it."""
    ladder = _LADDERS[unit]
    size, name = next(((size, name) for size, name in ladder if abs(value) >= size), ladder[-1])
    return f"{value / size:.4g}{name}" if value else "0"
