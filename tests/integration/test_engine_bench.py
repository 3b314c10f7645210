"""The engine bench with real processes: servers that lie, an interruption, and a small run against llama-server."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from engine_bench.command_line import DONE, INTERRUPTED, UNUSABLE, main
from engine_bench.load.chat import Apart
from engine_bench.model_file import SHAPES, make_model
from engine_bench.plan import MOST_VOID, Bench
from engine_bench.results.journal import Journal, read_journal
from engine_bench.results.machine import describe
from engine_bench.results.rows import rows
from engine_bench.rounds import run_all
from engine_bench.servers.contestants import Place
from engine_bench.servers.process import Command
from parts.needs import left_out
from parts.waiting import until

ROOT = Path(__file__).parents[2]
APART = Apart(clients=2, prompts=6, prompt_tokens=20, answer_tokens=4)
NOWHERE = Place(Path("/none"), Path("/none"), 1)
PATIENCE_SECONDS = 120.0
COLD_SECONDS = 1800
"""Compiling llama-server takes 10-15 CPU minutes the first time; afterwards it is in ~/.cache/chatbot-build."""


def bench(names: list[str], rounds: int = 1) -> Bench:
    return Bench(NOWHERE, [APART], {"W3": names}, rounds)


def lying(lies: Mapping[str, str]) -> object:
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "loadtest")])

    def command(name: str, _place: Place, _base: str) -> Command:
        return Command((sys.executable, "-m", "parts.lying_server", lies[name], "{port}"), {"PYTHONPATH": path})

    return command


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("few", "4 told and 3 received of 4"),
        ("counts", "prompt 48 of 49"),
        ("silent", "prompt None of 49"),
        ("early", "finish stop"),
        ("busy", "status 503"),
        ("stuck", "status 0|cut off"),  # as far as an answer beside it had come
    ],
)
def test_a_run_with_other_work_is_void_and_counted_and_makes_no_ratio(tmp_path: Path, lie: str, said: str) -> None:
    journal = Journal(tmp_path, {})

    run_all(bench(["ours", "llama-server a", "ours again"]), journal, lying({
        "ours": "honest", "llama-server a": lie, "ours again": "honest",
    }))  # fmt: skip

    voids = [run.void for run in journal.runs if run.contestant == "llama-server a"]
    assert len(voids) == MOST_VOID
    assert all(re.search(said, void) for void in voids), voids
    assert [run.void for run in journal.runs if run.contestant != "llama-server a"] == ["", ""]
    found = {row["figure"]: row for row in rows(journal.runs)}
    assert found["tokens_per_second"]["ratio"] is None
    assert found["tokens_per_second"]["noise"] is not None


def test_a_bench_that_goes_on_repeats_nothing(tmp_path: Path) -> None:
    honest = lying({"ours": "honest", "ours again": "honest"})
    run_all(bench(["ours", "ours again"]), Journal(tmp_path, {}), honest)
    before = (tmp_path / "runs.jsonl").read_text()

    run_all(bench(["ours", "ours again"], rounds=2), Journal(tmp_path, {}), honest)

    after = (tmp_path / "runs.jsonl").read_text()
    assert after.startswith(before)
    assert [(run.round, run.void) for run in read_journal(tmp_path)[1]] == [(0, ""), (0, ""), (1, ""), (1, "")]


def test_a_server_that_does_not_start_is_void_and_says_why(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {})

    run_all(bench(["ours"]), journal, lambda *_: Command((sys.executable, "-c", "raise SystemExit('no model')"), {}))

    assert [run.void for run in journal.runs] == ["ServerFailed: ended with 1: no model"] * MOST_VOID


def test_a_folder_without_programs_says_how_to_build_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["run", "--programs", str(tmp_path), "--out", str(tmp_path / "out"), "--size", "try"])

    assert code == UNUSABLE
    assert ".ci/llama_server.py" in capsys.readouterr().err


def has_ended(pid: int) -> bool:
    """Gone, or dead and waiting for a parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="module")
def programs() -> Path:
    """llama-server: built where nothing may be left out, else only taken where it was built before."""
    builder = sorted(ROOT.glob(".tools/uv-*/bin/python"))
    command = [str(builder[-1]) if builder else sys.executable, str(ROOT / ".ci" / "llama_server.py")]
    if os.environ.get("CI") != "true":
        command.append("--cached")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        left_out("llama-server is not built; get it: make bench")
    return Path(done.stdout.strip())


@pytest.mark.timeout(COLD_SECONDS)
def test_equal_work_is_done_here_and_on_llama_server(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ["--workloads", "W1,W2,W4", "--contestants", "ours,llama-server a", "--rounds", "1"]

    code = main(["run", "--size", "try", "--programs", str(programs), "--out", "out", *chosen])

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    _, runs = read_journal(tmp_path / "out")
    assert code == DONE
    assert [(run.workload, run.contestant, run.void) for run in runs if run.void] == []
    assert {row["workload"] for row in report["rows"] if row["ratio"]} == {"W1", "W2", "W4"}
    for workload in ("W1", "W2"):
        sent = {run.contestant: run.figures["prompt_tokens_sent"] for run in runs if run.workload == workload}
        assert sent["ours"] == sent["llama-server a"]
    burst = next(run for run in runs if run.workload == "W2" and run.contestant == "ours")
    assert burst.figures["computed_of_least"] <= 1.5  # one leads, the others follow
    assert "no A/A pair" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.timeout(COLD_SECONDS)
def test_users_who_leave_return_or_grow_many_are_played(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ["--workloads", "W5,W6,W7", "--contestants", "ours", "--rounds", "1"]

    main(["run", "--size", "try", "--programs", str(programs), "--out", "out", *chosen])

    _, runs = read_journal(tmp_path / "out")
    figures = {run.workload: run.figures for run in runs if not run.void}
    assert set(figures) == {"W5", "W6", "W7"}, [run.void for run in runs]
    assert figures["W5"]["answered_share"] == 1
    assert figures["W6"]["restored_of_cold"] > 0
    assert figures["W7"]["freed_decode_p50"] > 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_server_is_left_behind_however_the_bench_ends(tmp_path: Path, end: signal.Signals) -> None:
    (tmp_path / "about.json").write_text("{}")
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    server.chmod(0o755)
    words = [sys.executable, "-m", "engine_bench", "run", "--size", "try", "--workloads", "W3"]
    words += ["--contestants", "llama-server a", "--programs", str(tmp_path), "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "loadtest")}
    bench = await asyncio.create_subprocess_exec(*words, cwd=tmp_path, env=environment)
    try:
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), PATIENCE_SECONDS)
        pid = int((tmp_path / "pid").read_text())

        bench.send_signal(end)

        code = await asyncio.wait_for(bench.wait(), PATIENCE_SECONDS)
        assert code == (-signal.SIGKILL if end == signal.SIGKILL else INTERRUPTED)
        await until(lambda: has_ended(pid), PATIENCE_SECONDS)
    finally:
        if bench.returncode is None:
            bench.kill()
            await bench.wait()


def test_a_steps_graphs_are_measured_on_a_file_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "loadtest"))
    model = make_model(tmp_path / "own.gguf", SHAPES["tiny"])
    chosen = ["--model", str(model), "--threads", "1", "--cells", "40", "--rounds", "2", "--passes", "2"]

    code = main(["graphs", *chosen, "--out", str(tmp_path / "out")])

    report = json.loads((tmp_path / "out" / "graphs.json").read_text())
    assert code == DONE
    assert [row["rows"] for row in report["rows"]] == list(range(1, 9))
    assert all(sum(row["parts"]) == row["rows"] for row in report["rows"])
    assert all(row["ratio"] and row["noise"] for row in report["rows"][1:])
    assert "| own, 1 | 8 |" in capsys.readouterr().out


def test_a_commit_that_changes_nothing_measured_leaves_a_bench_as_it_is(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)  # noqa: S607

    git("init", "-q")
    for folder in ("services", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page").write_text("1")
    git("add", ".")
    git("commit", "-qm", "one")
    first = describe(tmp_path)
    (tmp_path / "docs" / "page").write_text("2")
    git("commit", "-qam", "two")

    assert describe(tmp_path) == first
    (tmp_path / "services" / "page").write_text("2")
    changed = describe(tmp_path)
    assert (changed["commit"], changed["is_dirty"]) == (first["commit"], True)
    (tmp_path / "services" / "page").write_text("3")
    assert describe(tmp_path) != changed
