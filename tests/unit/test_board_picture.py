"""The renderer of dashboards: what was measured is what is drawn."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from parts.board_picture import Span, picture

SPAN = Span(begin=1000.0, end=1100.0, mark=1010.0)


def board(unit: str = "short") -> dict[str, Any]:
    panel = {
        "type": "timeseries",
        "title": "Requests & <more>",
        "gridPos": {"h": 8, "w": 24, "x": 0, "y": 1},
        "fieldConfig": {"defaults": {"unit": unit}},
        "targets": [{"expr": 'rate(x{a=~"$a"}[$__rate_interval])', "legendFormat": "{{service}} p95"}],
    }
    row = {"type": "row", "title": "Row", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}}
    return {"title": "T", "description": "D", "panels": [row, panel]}


def drawn(*series: list[tuple[float, str]], unit: str = "short") -> str:
    samples = [{"metric": {"service": f"s{n}"}, "values": values} for n, values in enumerate(series)]
    return picture(board(unit), lambda _: samples, "5s", SPAN)


def test_the_query_is_asked_without_grafanas_variables() -> None:
    asked: list[str] = []

    picture(board(), lambda query: asked.append(query) or [], "5s", SPAN)  # type: ignore[func-returns-value]

    assert asked == ['rate(x{a=~".*"}[5s])']


def test_a_line_goes_through_its_values_and_is_broken_where_there_are_none() -> None:
    text = drawn([(1000.0, "0"), (1002.0, "4"), (1050.0, "2"), (1052.0, "NaN"), (1100.0, "2")])

    heights = [[float(pair.split(",")[1]) for pair in line.split()] for line in re.findall(r'points="([^"]+)"', text)]
    assert [len(line) for line in heights] == [2, 1, 1]
    (bottom, top), (middle,), _ = heights
    assert bottom > middle > top and abs((bottom + top) / 2 - middle) < 0.2


def test_it_is_well_formed_and_names_lines_and_units() -> None:
    text = drawn([(1000.0, "0.5"), (1100.0, "1")], [(1000.0, "0"), (1100.0, "0")], unit="percentunit")

    ElementTree.fromstring(text)  # noqa: S314 - our own
    assert "Requests &amp; &lt;more&gt;" in text
    assert "s0 p95" in text and "s1 p95" not in text and "1 more, mostly 0" in text
    assert ">100 %<" in text


def test_a_panel_without_data_says_so() -> None:
    assert "No data" in drawn()
