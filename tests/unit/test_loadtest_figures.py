"""Figures of load tests: the same numbers as awk, also from files that were cut."""

import itertools
import json
import re
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot_loadtest.command_line import main
from chatbot_loadtest.report.tables import shown
from chatbot_loadtest.results.figures import Figures, percentile
from chatbot_loadtest.results.reading import Unreadable, attempt_of
from chatbot_loadtest.results.records import COLUMNS, TIMELINE_COLUMNS, Outcome, iso
from chatbot_loadtest.results.run import Run, RunFiles, Waits, read
from chatbot_loadtest.results.stages import goodput, saturation
from chatbot_loadtest.results.summary import document, flat_figures
from chatbot_loadtest.results.verdicts import BadThreshold, judge, threshold
from parts.attempts import BEGAN, attempt, many, write

# A second implementation: no CSV library, so a name with a comma and quotes is replaced before it splits. All rows are
# of one day, so a time is its seconds since midnight.
AWK = r'''
function seconds(time) { return substr(time, 12, 2) * 3600 + substr(time, 15, 2) * 60 + substr(time, 18, 6) }
NR == 1 { next }
{ sub(/\r$/, ""); gsub(/"Ro, ""the captain"""/, "Ro") ; n = split($0, f, ",") }
n != 17 { cut++; next }
{ rows++; seen[f[1]] = 1; end = seconds(f[11]); begin = end - f[6] }
rows == 1 || begin < first { first = begin }
end > last { last = end }
f[13] == "true" { retries++; next }
{ finals++ }
f[15] == "true" { answered++; sum += f[6]; got[f[1]] = 1; print f[6] > times; printf "%.3f\n", end > ends }
f[15] == "true" && f[4] == "Mira" { mira++ }
f[14] == "true" { failed[f[8]]++ }
END {
  for (user in seen) users++
  for (user in got) lucky++
  printf "%d %d %d %d %d %d %.6f %.6f %d %d\n", rows, retries, finals, answered, cut, failed["timed_out"],
    sum / answered, last - first, mira, lucky / users * 100000
}
'''
SHARES = {"p50": 50, "p95": 95, "p99": 99}
CARD = re.compile(r'data-figure="(\w+)"><b>([^<]+)</b>')


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout


def by_awk(path: Path, folder: Path) -> dict[str, float]:
    """Counts, shares, mean, percentiles and the longest silence, from awk and sort."""
    whole = folder / "whole.csv"
    content = path.read_bytes()
    whole.write_bytes(content[: content.rfind(b"\n") + 1])
    times, ends = folder / "times.txt", folder / "ends.txt"
    printed = said("/usr/bin/awk", "-v", f"times={times}", "-v", f"ends={ends}", AWK, str(whole))
    names = ("rows", "retries", "requests", "answered", "cut", "timed_out", "mean", "wall", "mira", "users_100000")
    found: dict[str, float] = dict(zip(names, (float(number) for number in printed.split()), strict=True))
    ordered = said("/usr/bin/sort", "-g", str(times)).split()
    moments = [float(moment) for moment in said("/usr/bin/sort", "-g", str(ends)).split()]
    found["silence"] = max(later - earlier for earlier, later in itertools.pairwise(moments))
    cuts = {name: float(ordered[int(-(-found["answered"] * part // 100)) - 1]) for name, part in SHARES.items()}
    return found | cuts


@pytest.mark.parametrize("kind", ["plain", "large", "crlf, quotes and a cut row"])
def test_numbers_in_the_report_equal_those_of_awk(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "requests.csv", many(5000 if kind == "large" else 300, seed=len(kind)))
    if kind.startswith("crlf"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")[:-30])

    assert main(["report", str(path)]) == 0

    awk = by_awk(path, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    figures, page = summary["figures"], (tmp_path / "report.html").read_text()
    assert (summary["attempts"], summary["retries"]) == (awk["rows"], awk["retries"])
    assert (figures["requests"], figures["answered"]) == (awk["requests"], awk["answered"])
    assert figures["mean_seconds"] == pytest.approx(awk["mean"], abs=1e-6)
    assert {name: figures[f"{name}_seconds"] for name in SHARES} == {name: awk[name] for name in SHARES}
    assert summary["characters"]["Mira"]["answered"] == awk["mira"]
    assert summary["outcomes"]["timed_out"] == awk["timed_out"]
    assert summary["malformed_rows"] == (1 if kind.startswith("crlf") else 0)
    cards = dict(CARD.findall(page))
    assert cards["requests"] == f"{awk['requests']:,.0f}"
    assert cards["success_share"] == f"{awk['answered'] / awk['requests'] * 100:.1f} %"
    assert cards["mean_seconds"] == f"{awk['mean']:.2f} s"
    assert {name: cards[f"{name}_seconds"] for name in SHARES} == {name: f"{awk[name]:.2f} s" for name in SHARES}
    assert cards["requests_per_hour"] == f"{awk['requests'] * 3600 / awk['wall']:,.0f}"
    assert cards["users_answered_share"] == f"{awk['users_100000'] / 1000:.1f} %"
    assert cards["longest_silence_seconds"] == shown(awk["silence"], "seconds")


def test_a_row_cut_at_any_byte_is_left_out_and_counted(tmp_path: Path) -> None:
    whole = write(tmp_path / "requests.csv", many(3, seed=1)).read_bytes()
    last_row = whole.rstrip(b"\n").rfind(b"\n") + 1

    for end in range(last_row + 1, len(whole)):
        (tmp_path / "requests.csv").write_bytes(whole[:end])
        run = read(RunFiles(tmp_path / "requests.csv"))
        assert (run.figures.attempts, run.malformed) == (2, 1)


def test_damaged_rows_are_counted_and_the_others_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "requests.csv", [attempt(1)])
    row = path.read_text().splitlines()[1]
    bad = [row.replace("1.0000", "fast"), row.replace("1.0000", "nan"), row + ",more", row.replace("true", "yes"), "x"]
    path.write_text(path.read_text() + "\n".join(bad) + "\n")

    run = read(RunFiles(path))

    assert (run.figures.attempts, run.malformed) == (1, len(bad))


def test_no_rows_give_a_report_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "requests.csv", [])

    assert main(["report", str(path)]) == 1

    assert "answered>=1: measured 0" in capsys.readouterr().err
    assert "The file has no rows" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("content", ["", "user_id,test_type\n", "\x00\x01"])
def test_a_file_that_is_no_such_table_is_refused_in_one_line(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requests.csv").write_text(content)

    assert main(["report", str(tmp_path / "requests.csv")]) == 2

    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read(RunFiles(tmp_path / "requests.csv"))


def test_memory_stays_bounded_for_a_hundred_thousand_rows(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    count = scale(20_000, 100_000)
    path = write(tmp_path / "requests.csv", many(count, seed=9))
    tracemalloc.start()
    try:
        run = read(RunFiles(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    figures(rows=count, peak_bytes=peak, bytes_per_row=round(peak / count, 1))
    assert run.figures.attempts == count
    assert peak < 2_000_000 + 64 * count


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.95) == 4
    assert percentile([7], 0.01) == 7
    assert percentile([], 0.5) is None


def test_requests_that_came_back_are_followed_to_their_end() -> None:
    busy = {"status_code": 429, "failure_reason": "queue_full", "retry_after_seconds": 2}
    figures = Figures()
    for record in [
        attempt(1, Outcome.RETRY, **busy),
        attempt(1, retry_count=1),
        attempt(2, Outcome.RETRY, **busy),
        attempt(2, Outcome.FAILURE, retry_count=1, **busy),
        attempt(3, Outcome.FAILURE),
    ]:
        figures.add(read_back(record))

    assert (figures.refused, figures.got_in, figures.gave_up) == (2, 1, 1)
    assert (figures.obeyed, figures.obeyed_admitted) == (2, 1)
    assert dict(figures.outcomes) == {"answered": 1, "queue_full": 1, "timed_out": 1}


def read_back(record):  # type: ignore[no-untyped-def]
    return attempt_of(dict(zip(COLUMNS, record.row(), strict=True)))


def stepped(tmp_path: Path, rates: dict[int, int]) -> Run:
    """Twenty seconds at each number of users, with so many answers a second."""
    records, rows = [], [",".join(TIMELINE_COLUMNS)]
    for step, (users, rate) in enumerate(rates.items()):
        for second in range(20):
            at = BEGAN + step * 20 + second
            rows.append(f"{iso(at)},{users},1,1,2,2")
            records += [attempt(step, timestamp=at + i / rate) for i in range(rate)]
    (tmp_path / "timeline.csv").write_text("\n".join(rows) + "\n")
    return read(RunFiles.beside(write(tmp_path / "requests.csv", records)))


def test_saturation_is_where_more_users_bring_no_more_answers(tmp_path: Path) -> None:
    run = stepped(tmp_path, {10: 4, 20: 8, 40: 10, 80: 9})

    found = saturation(run)

    assert found is not None
    assert (found.users, found.most_waiting) == (40, 3)
    assert goodput(run) == pytest.approx(0.9, abs=0.03)


def test_the_summary_is_json_without_numbers_that_json_lacks(tmp_path: Path) -> None:
    run = read(RunFiles(write(tmp_path / "requests.csv", [])))

    json.dumps(document(run, {}, []), allow_nan=False)


NAMES = list(flat_figures(Run(Figures(), Waits([], [], [], []), [], 0)))


@pytest.mark.parametrize("text", ["speed>=1", "success_share", "success_share>0.9", "success_share>=high", ""])
def test_a_threshold_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadThreshold, match=r"write NAME|is no figure"):
        threshold(text, NAMES)


def test_a_threshold_on_what_was_not_measured_is_missed(tmp_path: Path) -> None:
    figures = flat_figures(read(RunFiles(write(tmp_path / "requests.csv", [attempt()]))))

    required = ["goodput_ratio>=0.9", "p95_seconds<=2"]
    verdicts = {verdict.threshold: verdict.is_met for verdict in judge(figures, required)}

    assert verdicts["goodput_ratio>=0.9"] is False
    assert verdicts["p95_seconds<=2"] is True
