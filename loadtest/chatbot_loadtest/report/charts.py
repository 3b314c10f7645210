"""Charts as Vega-Lite (https://vega.github.io/vega-lite/docs/) from counted bins: no row of a run is in the page."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatbot_loadtest.results.figures import Figures, percentile
from chatbot_loadtest.results.run import Run
from chatbot_loadtest.results.stages import saturation, stages

_MAX_BINS: Final = 240
_HISTOGRAM_BINS: Final = 40
_HISTOGRAM_REACH: Final = 1.25
"""Times p99: a few very long answers must not squeeze all others into one bar."""
_MAX_POINTS: Final = 1500
_TIME: Final = "Time since the start (seconds)"
_OUTCOME_COLORS: Final = ["#3f9f70", "#dd9f30", "#d4504c"]
_DIP_SECONDS: Final = 2.0
_DIP_GAPS: Final = 10
"""A time without an answer is a dip where it is so much longer than the mean time between two answers."""
Chart = dict[str, Any]
Points = list[dict[str, Any]]


def charts(run: Run) -> dict[str, Chart]:
    """By the name that the page has for each; charts without data are left out."""
    made = {
        "histogram": _histogram(run),
        "percentiles": _percentiles(run),
        "outcomes": _outcomes(run),
        "timeline": _timeline(run),
        "stages": _stages(run),
        "promises": _promises(run),
    }
    return {name: chart for name, chart in made.items() if chart is not None}


def _histogram(run: Run) -> Chart | None:
    ordered = sorted(run.figures.seconds)
    if not ordered:
        return None
    most = min(ordered[-1], _HISTOGRAM_REACH * (percentile(ordered, 0.99) or 0.0))
    width = _round_width(most / _HISTOGRAM_BINS)
    counts = [0] * (int(most / width) + 1)
    inside = ordered[: bisect_left(ordered, len(counts) * width)]
    for value in inside:
        counts[min(int(value / width), len(counts) - 1)] += 1
    points = [
        {"from": round(i * width, 6), "to": round((i + 1) * width, 6), "n": count} for i, count in enumerate(counts)
    ]
    x = _axis("from", "Response time of answers (seconds)") | {"bin": {"binned": True, "step": width}}
    bars = _layer(
        points,
        {"type": "bar", "tooltip": True, "binSpacing": 1},
        x=x,
        x2={"field": "to"},
        y=_axis("n", "Answers (count)"),
    )
    return _frame() | {"layer": [bars, *_cuts(ordered, len(counts) * width, len(ordered) - len(inside))]}


def _cuts(ordered: Sequence[float], end: float, above: int) -> list[Chart]:
    """Percentiles as lines in the distribution, and how many values lie beyond its end."""
    cuts: Points = [{"v": percentile(ordered, share), "what": name} for name, share in (("p50", 0.5), ("p95", 0.95))]
    place = {"field": "v", "type": "quantitative"}
    made = [_layer(cuts, {"type": "rule", "strokeDash": [3, 3], "style": "hintline"}, x=place)]
    texts = [({"align": "left", "dx": 4}, row * 15 + 2, cut) for row, cut in enumerate(cuts)]
    if above:
        texts.append(({"align": "right", "dx": -2}, 32, {"v": end, "what": f"{above} above {end:.3g} s"}))
    for more, y, point in texts:
        mark = {"type": "text", "baseline": "top", "style": "hint", **more}
        made.append(_layer([point], mark, x=place, y={"value": y}, text={"field": "what"}))
    return made


def _round_width(width: float) -> float:
    """1, 2 or 5 times a power of ten, not below it."""
    power = 10.0 ** math.floor(math.log10(max(width, 1e-4)))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= width * 0.999)


def _bin_seconds(run: Run) -> float:
    return max(1.0, math.ceil(run.figures.wall_seconds / _MAX_BINS))


def _percentiles(run: Run) -> Chart | None:
    width, begin = _bin_seconds(run) * 5, run.figures.first_began_at
    bins: dict[int, list[float]] = {}
    for ended, seconds in zip(run.figures.ended_at, run.figures.seconds, strict=True):
        bins.setdefault(int((ended - begin) / width), []).append(seconds)
    points: Points = []
    for number, values in sorted(bins.items()):
        ordered = sorted(values)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            points.append({"t": (number + 0.5) * width, "what": name, "v": percentile(ordered, share)})
    return _lines(points, "Response time (seconds)", ["p50", "p95", "p99"]) if points else None


def _outcomes(run: Run) -> Chart | None:
    figures, width = run.figures, _bin_seconds(run)
    if not figures.attempts:
        return None
    kinds = {"answered": figures.ended_at, "refused (429)": figures.refused_at, "failed": figures.failed_at}
    points: Points = []
    for name, moments in kinds.items():
        counts: dict[int, int] = {}
        for moment in moments:
            number = int((moment - figures.first_began_at) / width)
            counts[number] = counts.get(number, 0) + 1
        points += [
            {"t": number * width, "end": (number + 1) * width, "what": name, "v": count / width}
            for number, count in sorted(counts.items())
        ]
    bars = _layer(
        points,
        {"type": "bar", "tooltip": True, "binSpacing": 0},
        x=_time() | {"bin": {"binned": True}},
        x2={"field": "end"},
        y=_axis("v", "Attempts that ended (per second)"),
        color=_color(list(kinds), {"range": _OUTCOME_COLORS}),
    )
    return _frame() | {"layer": [*_dip(figures), bars]}


def _dip(figures: Figures) -> list[Chart]:
    """The longest time without an answer, as a band behind the bars; none where it does not stand out."""
    began, seconds = figures.longest_silence() or (0.0, 0.0)
    if seconds < max(_DIP_SECONDS, _DIP_GAPS * figures.wall_seconds / max(1, figures.answered)):
        return []
    begin = round(began - figures.first_began_at, 2)
    band = [{"t": begin, "end": round(begin + seconds, 2), "what": f"{seconds:.1f} s without an answer"}]
    x = {"field": "t", "type": "quantitative"}
    shade = _layer(band, {"type": "rect", "opacity": 0.16, "style": "dip", "tooltip": True}, x=x, x2={"field": "end"})
    name = _layer(
        band,
        {"type": "text", "baseline": "top", "style": "dip", **_beside(begin, figures.wall_seconds)},
        x=x if begin > figures.wall_seconds / 2 else {"field": "end", "type": "quantitative"},
        y={"value": 2},
        text={"field": "what"},
    )
    return [shade, name]


def _timeline(run: Run) -> Chart | None:
    if not run.timeline:
        return None
    begin, step = run.timeline[0].at, math.ceil(len(run.timeline) / (_MAX_BINS * 2))
    points: Points = []
    for start in range(0, len(run.timeline), step):
        moments = run.timeline[start : start + step]
        at = round(moments[0].at - begin, 1)
        for name, of in (("users", "users"), ("waiting", "waiting"), ("running", "running")):
            points.append({"t": at, "what": name, "v": max(getattr(moment, of) for moment in moments)})
    return _lines(points, "Users and requests (count)", ["users", "waiting", "running"], interpolate="step-after")


def _stages(run: Run) -> Chart | None:
    found, saturated = stages(run), saturation(run)
    if len(found) < 2:
        return None
    points = [{"users": stage.users, "v": round(stage.answers_per_second, 3)} for stage in found]
    x, y = _axis("users", "Users (count)"), _axis("v", "Answers (per second)")
    line = _layer(points, {"type": "line", "point": {"size": 60}, "tooltip": True}, x=x, y=y)
    if saturated is None:
        return _frame() | {"layer": [line]}
    mark = [{"users": saturated.users, "what": f"saturated at {saturated.users} users"}]
    rule = _layer(mark, {"type": "rule", "strokeDash": [3, 3], "style": "hintline"}, x=x)
    name = _layer(
        mark,
        {"type": "text", "baseline": "bottom", "style": "hint", **_beside(saturated.users, found[-1].users)},
        x=x,
        y={"value": {"expr": "height - 6"}},
        text={"field": "what"},
    )
    return _frame() | {"layer": [rule, line, name]}


def _beside(place: float, most: float) -> Chart:
    """A text stands on the side of a line where there is room."""
    return {"align": "right", "dx": -5} if place > most / 2 else {"align": "left", "dx": 5}


def _promises(run: Run) -> Chart | None:
    promises = run.waits.promises
    if not promises:
        return None
    step = math.ceil(len(promises) / _MAX_POINTS)
    points = [{"x": round(promised, 3), "y": round(real, 3)} for promised, real in promises[::step]]
    most = max(max(pair) for pair in promises) or 1.0
    x, y = _axis("x", "Promised wait (seconds)"), _axis("y", "Real wait (seconds)")
    ends: Points = [{"x": 0, "y": 0}, {"x": most, "y": most}]
    diagonal = _layer(ends, {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1, "style": "hintline"}, x=x, y=y)
    cloud = _layer(points, {"type": "point", "filled": True, "opacity": 0.5, "size": 26, "tooltip": True}, x=x, y=y)
    return _frame() | {"layer": [diagonal, cloud]}


def _lines(points: Points, title: str, order: Sequence[str], **more: Any) -> Chart:
    mark = {"type": "line", "tooltip": True, "point": len(points) <= len(order), **more}
    return _frame() | _layer(points, mark, x=_time(), y=_axis("v", title), color=_color(order))


def _time() -> Chart:
    return _axis("t", _TIME) | {"scale": {"nice": False}}


def _axis(field: str, title: str) -> Chart:
    return {"field": field, "type": "quantitative", "title": title}


def _color(order: Sequence[str], more: Mapping[str, Any] | None = None) -> Chart:
    return {"field": "what", "type": "nominal", "title": None, "scale": {"domain": list(order), **(more or {})}}


def _layer(points: Points, mark: Mapping[str, Any], **encoding: Mapping[str, Any]) -> Chart:
    return {"data": {"values": points}, "mark": dict(mark), "encoding": encoding}


def _frame() -> Chart:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": 240,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
