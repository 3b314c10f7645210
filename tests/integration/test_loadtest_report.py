"""The report of a load test in a real browser: on a phone and on a desk, light and dark."""

import re
from pathlib import Path
from typing import Literal

import pytest
from chatbot_loadtest.command_line import main
from chatbot_loadtest.results.records import TIMELINE_COLUMNS, WAIT_COLUMNS, iso
from parts.attempts import BEGAN, many, write
from parts.browser import opened

UNIT = re.compile(r"\((seconds|count|per second)\)$")
FIGURES = {"outcomes", "percentiles", "timeline", "histogram", "stages", "promises"}
LUMINANCE = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with everything in it: three stages, refusals, failures, promised waits, an earlier run."""
    folder = tmp_path_factory.mktemp("report")
    write(folder / "requests.csv", many(6000, seed=3))
    users = [(second, 15 if second < 20 else 100 if second < 40 else 200) for second in range(60)]
    rows = [f"{iso(BEGAN + second)},{count},{second % 7},4,1,4" for second, count in users]
    (folder / "timeline.csv").write_text("\n".join([",".join(TIMELINE_COLUMNS), *rows]) + "\n")
    waits = [f"{iso(BEGAN)},office,{n / 10},{n / 9},{n / 8},0.05,0.2" for n in range(40)]
    (folder / "waits.csv").write_text("\n".join([",".join(WAIT_COLUMNS), *waits]) + "\n")
    table = str(folder / "requests.csv")
    long_note = "A note of " + "many words and one_very_long_word_without_any_place_to_break_it_anywhere " * 3
    assert main(["report", table]) == 0
    assert main(["report", table, "--previous", str(folder / "summary.json"), "--note", long_note]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_report_is_whole_in_a_browser(report: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    async with opened(report, width, scheme) as found:
        wide = await found.page.evaluate("document.documentElement.scrollWidth")
        brightness = await found.page.evaluate(LUMINANCE)
        titles = {
            name: await found.page.locator(f"#chart-{name} svg .role-axis-title text").all_text_contents()
            for name in FIGURES
        }
        sticking_out = await found.page.evaluate(
            """[...document.querySelectorAll("figure svg")].filter((svg) =>
                 svg.getBoundingClientRect().right > svg.closest("figure").getBoundingClientRect().right).length"""
        )

    assert found.complaints == []
    assert found.requests == [report.as_uri()]
    assert wide <= width, "scrolls sideways"
    assert sticking_out == 0
    assert (brightness > 128) == (scheme == "light")
    assert {name: len(texts) for name, texts in titles.items()} == dict.fromkeys(FIGURES, 2)
    assert [text for texts in titles.values() for text in texts if not UNIT.search(text)] == []


async def test_a_report_of_nothing_is_drawn_too(tmp_path: Path) -> None:
    write(tmp_path / "requests.csv", [])
    assert main(["report", str(tmp_path / "requests.csv")]) == 1

    async with opened(tmp_path / "report.html", 390, "light") as found:
        said = await found.page.inner_text("main")

    assert "The file has no rows" in said
    assert found.complaints == []


async def test_another_colour_scheme_draws_the_charts_anew(report: Path) -> None:
    async with opened(report, 1440, "light") as found:
        title = found.page.locator("#chart-histogram svg .role-axis-title text").first
        light = await title.get_attribute("fill")
        await found.page.emulate_media(color_scheme="dark")
        await found.page.wait_for_function("document.documentElement.dataset.drawn === 'true'")
        dark = await title.get_attribute("fill")

    assert light != dark
