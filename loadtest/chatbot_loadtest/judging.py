"""From the tables of a run to its verdicts, its summary and its report."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatbot_loadtest.report.page import page
from chatbot_loadtest.results.reading import Unreadable
from chatbot_loadtest.results.run import RunFiles, read
from chatbot_loadtest.results.summary import document, flat_figures, write
from chatbot_loadtest.results.verdicts import Verdict, judge


@dataclass(frozen=True, slots=True)
class Judged:
    """What came out, and where it lies."""

    figures: Mapping[str, float | None]
    verdicts: Sequence[Verdict]
    malformed: int
    folder: Path

    @property
    def is_kept(self) -> bool:
        """Whether every threshold was met."""
        return all(verdict.is_met for verdict in self.verdicts if not verdict.is_objective)


def judge_files(
    files: RunFiles,
    folder: Path,
    about: Mapping[str, Any],
    required: Sequence[str],
    previous: Path | None,
) -> Judged:
    """Write `summary.json` and `report.html`.

    Raises:
        Unreadable: A file is not what it should be.
    """
    earlier = earlier_summary(previous) if previous else None
    run = read(files)
    figures = flat_figures(run)
    verdicts = judge(figures, required)
    summary = document(run, about, [verdict.document() for verdict in verdicts])
    write(folder / "summary.json", summary)
    (folder / "report.html").write_text(page(run, summary, earlier), encoding="utf-8")
    return Judged(figures, verdicts, run.malformed, folder)


def about_of(files: RunFiles) -> Mapping[str, Any]:
    """What the summary beside a table says about its run; no more than its name where there is none.

    Raises:
        Unreadable: There is one and it is none.
    """
    beside = files.requests.with_name("summary.json")
    about: Mapping[str, Any] = earlier_summary(beside)["about"] if beside.exists() else {}
    return about or {"scenario": files.requests.name}


def earlier_summary(path: Path) -> Mapping[str, Any]:
    """A `summary.json`.

    Raises:
        Unreadable: It is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise Unreadable(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise Unreadable(f"{path}: not JSON") from exc
    if not isinstance(content, dict) or not isinstance(content.get("figures"), dict) or "about" not in content:
        raise Unreadable(f"{path}: not the summary of a load test")
    return content


def show(judged: Judged) -> None:
    """Figures and verdicts, for a terminal and for the log of a Job."""
    for name, value in judged.figures.items():
        print(f"{name:<28} {'-' if value is None else f'{value:.4g}' if value < 1000 else f'{value:.0f}'}")
    if judged.malformed:
        print(f"{judged.malformed} rows were cut or damaged and are in none of the figures")
    for verdict in judged.verdicts:
        print(verdict.line(), file=sys.stdout if verdict.is_met or verdict.is_objective else sys.stderr)
    print(f"report: {judged.folder / 'report.html'}")
