"""Who plays on in the engine bench and who does not, and what the report says of that."""

import re
from pathlib import Path

import pytest
from chatbot.llm.engine.native.gguf_header import read_gguf_header
from chatbot.llm.engine.native.sizing import Wanted, choose_sizes
from engine_bench.model_file import SHAPES, make_model
from engine_bench.plan import has_left, seconds_left
from engine_bench.results.journal import Journal, OtherBench, Run, alone_in
from engine_bench.results.report import write_into, write_report
from engine_bench.servers.contestants import STEP_TOKENS, TUNED, Place
from engine_bench.servers.memory import OTHER_BYTES, allowed_bytes
from engine_bench.token_time import Reading, table

A, C, D, E = "llama-server a", "llama-server c", TUNED, "llama-server e"


def run(contestant: str, number: int, value: float, *, void: str = "") -> Run:
    return Run("W3", number, contestant, 0, void, {"tokens_per_second": value})


def rounds_of(workload: str, figure: str, **speeds: list[float]) -> list[Run]:
    """Runs of a to e, by round."""
    names = {"a": A, "c": C, "d": D, "e": E}
    return [
        Run(workload, number, names[name], 0, "", {figure: value})
        for name, values in speeds.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("speeds", "gone_after"),
    [
        ({"c": [70.0, 90.0]}, 1),  # 1.43 times in the first
        ({"c": [72.0, 90.0]}, None),  # neither 1.4 times in the first nor 1.15 in both
        ({"c": [72.0, 86.0]}, 2),
        ({"c": [120.0, 10.0]}, None),  # better in one of them
        ({"d": [72.0, 86.0]}, 2),  # no goal of W3 is measured against the tuned one
    ],
)
def test_a_llama_server_that_is_beaten_in_each_of_the_first_rounds_plays_no_more(
    speeds: dict[str, list[float]], gone_after: int | None
) -> None:
    runs = rounds_of("W3", "tokens_per_second", a=[100.0, 100.0], e=[90.0, 99.0], **speeds)
    name = {"c": C, "d": D}[next(iter(speeds))]

    left = [number for number in range(5) if has_left(runs, number, "W3", name)]

    assert left == ([] if gone_after is None else list(range(gone_after, 5)))
    assert not any(has_left(runs, number, "W3", each) for number in range(5) for each in (A, E, "ours", "ours again"))


def test_where_less_is_better_the_slower_one_goes_and_the_tuned_one_stays_where_a_goal_needs_it() -> None:
    runs = rounds_of("W4", "itl_beside_p99", a=[1.0, 1.0], e=[2.0, 2.0], d=[9.0, 9.0])

    assert [has_left(runs, 2, "W4", name) for name in (A, E, D)] == [False, True, False]


def test_a_void_round_beats_nobody() -> None:
    runs = [run(A, 0, 100.0), run(C, 0, 10.0, void="cut off"), run(A, 1, 100.0), run(C, 1, 10.0)]

    assert not has_left(runs, 2, "W3", C)


@pytest.mark.parametrize(
    ("workload", "name", "goes"),
    [("W1", "serial", True), ("W3", "serial", False), ("W3", "example server", True), ("W5", A, True), ("W7", A, True)],
)
def test_whom_no_goal_is_measured_against_plays_two_rounds(workload: str, name: str, goes: bool) -> None:
    assert [has_left([], number, workload, name) for number in range(4)] == [False, False, goes, goes]


def test_what_is_left_takes_as_long_as_the_same_took_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {})
    for number, (name, seconds) in enumerate([("ours", 10.0), ("ours", 20.0), (A, 60.0)]):
        journal.add(Run("W3", number, name, 0, "", {"tokens_per_second": 1.0}, machine={"wall_seconds": seconds}))
    later = [(4, "W3", "ours"), (4, "W3", A), (4, "W3", "serial"), (4, "W1", "ours"), (0, "W3", "ours")]

    assert seconds_left(journal, later) == 15 + 60 + 30 + 30  # the last one is done


def test_the_report_says_who_did_not_play_all_rounds_and_why_a_run_was_void(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"machine": {"cpu": "test", "cores": 2}})
    for number in range(3):
        for name, speed in (("ours", 90.0), ("ours again", 91.0), (A, 100.0), (C, 50.0)):
            if number == 0 or name != C:
                journal.add(run(name, number, speed))
    journal.add(run(A, 2, 0.0, void=f"{Path.home()}/llama-server: p3: status 503\nmore"))

    text = write_report(tmp_path)

    assert "Not in all rounds: llama-server c." in text
    assert "Void: round 3, llama-server a: ~/llama-server: p3: status 503." in text
    assert re.search(r"^\| llama-server c \|.*\| 1 \| 0 \|$", text, re.MULTILINE)
    assert re.search(r"^\| llama-server a \|.*\| 3 \| 1 \|$", text, re.MULTILINE)


def test_settings_have_a_place_of_their_own_on_a_page(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"machine": {"cpu": "test", "cores": 2}})
    for name, speed in (("ours", 90.0), ("ours again", 90.0), ("ours CHATBOT_ENGINE_WITHOUT=shortlist", 45.0)):
        journal.add(run(name, 0, speed))
    journal.add(Run("W3", 1, "ours", 0, "ServerFailed: no", {}, machine={"wall_seconds": 1.0}))
    page = tmp_path / "performance.md"
    page.write_text(
        "<!-- bench: begin -->\nstays\n<!-- bench: end -->\n<!-- settings: begin -->\n<!-- settings: end -->\n"
    )

    write_into(tmp_path, [page])

    text = page.read_text()
    assert text.startswith("<!-- bench: begin -->\nstays\n<!-- bench: end -->\n<!-- settings: begin -->\n| workload |")
    assert "| W3 | tokens chosen from a short list | `CHATBOT_ENGINE_WITHOUT=shortlist` | tokens/s | 0.50 (" in text
    assert "1 void runs" in text


def test_two_benches_never_write_into_one_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "new"), pytest.raises(OtherBench, match="at work"), alone_in(tmp_path / "new"):
        pass

    with alone_in(tmp_path / "new"):
        pass


def test_memory_that_ours_may_take_is_the_engines_own_sum_and_a_rest(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model.gguf", SHAPES["tiny"])
    small, large = (Place(model, tmp_path, 1, slots, 512) for slots in (1, 8))

    least = model.stat().st_size + OTHER_BYTES

    assert least < allowed_bytes(small) < allowed_bytes(large)


def test_the_tuned_llama_server_gets_the_step_that_ours_has_by_default(tmp_path: Path) -> None:
    header = read_gguf_header(make_model(tmp_path / "model.gguf", SHAPES["tiny"]))

    sizes = choose_sizes(Wanted(context_tokens=2048, slots=8), header, has_gpu=False, cpus=2)

    assert sizes.step_tokens == STEP_TOKENS


def test_the_profile_says_what_of_a_step_is_not_the_models() -> None:
    counters = {
        "steps": 100.0,
        "step_rows": 800.0,
        "step_seconds": 1.9,
        "step_overhead_seconds.sample": 0.06,
        "step_overhead_seconds.build": 0.03,
        "step_overhead_seconds.deliver": 0.01,
    }
    before = Reading(dict.fromkeys(counters, 0.0), {(1, 1): 1.0, (2, 2): 1.0})
    after = Reading(counters, {(1, 1): 1.5, (2, 2): 3.0, (2, 3): 1.0, (2, 4): 0.25})

    text = table("decode", after.since(before), 2.5)

    assert "Python and choosing: 5.0% of a step (goal with answers only: <= 5%)" in text
    assert "| native: llama_decode | 19000 | 2375 | 76.0% |" in text
    assert "| engine: its thread (steps, and llama.cpp's first thread) | 2.00 | 2500 |" in text
    assert "| engine: frames in and out, heartbeat | 0.25 |" in text
