"""Charts as Vega-Lite (https://vega.github.io/vega-lite/docs/) from counted bins: no row of a run is in the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatbot_loadtest.results.figures import percentile
from chatbot_loadtest.results.run import Run
from chatbot_loadtest.results.stages import stages

_MAX_BINS: Final = 240
_HISTOGRAM_BINS: Final = 40
_MAX_POINTS: Final = 1500
_TIME: Final = "Time since the start (seconds)"
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
    seconds = run.figures.seconds
    if not seconds:
        return None
    width = _round_width(max(seconds) / _HISTOGRAM_BINS)
    counts = [0] * (int(max(seconds) / width) + 1)
    for value in seconds:
        counts[int(value / width)] += 1
    points = [
        {"from": round(i * width, 6), "to": round((i + 1) * width, 6), "n": count} for i, count in enumerate(counts)
    ]
    return _chart(
        points,
        {"type": "bar", "tooltip": True},
        x=_axis("from", "Response time of answers (seconds)") | {"bin": {"binned": True, "step": width}},
        x2={"field": "to"},
        y=_axis("n", "Answers (count)"),
    )


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
            points.append({"t": number * width, "what": name, "v": percentile(ordered, share)})
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
    return _chart(
        points,
        {"type": "bar", "tooltip": True},
        x=_axis("t", _TIME) | {"bin": {"binned": True}},
        x2={"field": "end"},
        y=_axis("v", "Attempts that ended (per second)"),
        color=_color(list(kinds), {"range": ["#3b9a6d", "#d79a2b", "#cf4a4a"]}),
    )


def _timeline(run: Run) -> Chart | None:
    if not run.timeline:
        return None
    begin, step = run.timeline[0].at, math.ceil(len(run.timeline) / (_MAX_BINS * 2))
    points: Points = []
    for start in range(0, len(run.timeline), step):
        moments = run.timeline[start : start + step]
        at = round(moments[0].at - begin, 1)
        for name, of in (("users", "users"), ("running", "running"), ("waiting", "waiting")):
            points.append({"t": at, "what": name, "v": max(getattr(moment, of) for moment in moments)})
    return _lines(points, "Users and requests (count)", ["users", "waiting", "running"])


def _stages(run: Run) -> Chart | None:
    found = stages(run)
    if len(found) < 2:
        return None
    points = [{"users": stage.users, "v": stage.answers_per_second} for stage in found]
    return _chart(
        points,
        {"type": "line", "point": True, "tooltip": True},
        x=_axis("users", "Users (count)"),
        y=_axis("v", "Answers (per second)"),
    )


def _promises(run: Run) -> Chart | None:
    promises = run.waits.promises
    if not promises:
        return None
    step = math.ceil(len(promises) / _MAX_POINTS)
    points = [{"x": round(promised, 3), "y": round(real, 3)} for promised, real in promises[::step]]
    most = max(max(pair) for pair in promises) or 1.0
    x, y = _axis("x", "Promised wait (seconds)"), _axis("y", "Real wait (seconds)")
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": most, "y": most}]},
        "mark": {"type": "line", "strokeDash": [4, 4], "color": "#8a8f98"},
        "encoding": {"x": x, "y": y},
    }
    cloud = {
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "opacity": 0.6, "tooltip": True},
        "encoding": {"x": x, "y": y},
    }
    return _frame() | {"layer": [diagonal, cloud]}


def _lines(points: Points, title: str, order: Sequence[str]) -> Chart:
    return _chart(
        points,
        {"type": "line", "tooltip": True, "point": len(points) <= len(order)},
        x=_axis("t", _TIME),
        y=_axis("v", title),
        color=_color(order),
    )


def _axis(field: str, title: str) -> Chart:
    return {"field": field, "type": "quantitative", "title": title}


def _color(order: Sequence[str], more: Mapping[str, Any] | None = None) -> Chart:
    return {"field": "what", "type": "nominal", "title": None, "scale": {"domain": list(order), **(more or {})}}


def _chart(points: Points, mark: Mapping[str, Any], **encoding: Mapping[str, Any]) -> Chart:
    return _frame() | {"data": {"values": points}, "mark": dict(mark), "encoding": encoding}


def _frame() -> Chart:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": 240,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
