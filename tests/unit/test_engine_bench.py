"""The engine bench's own arithmetic: ratios, what counts, what is said of it, and going on after an interruption."""

import json
import random
import re
from pathlib import Path

import gguf
import pytest
from chatbot.server.environment import names
from chatbot.server.settings.engine import EngineSettings
from engine_bench.load.chat import Chat
from engine_bench.load.client import Exchange, Question, read
from engine_bench.load.mixed import Mixed
from engine_bench.load.ramp import Ramp
from engine_bench.load.texts import prompt_tokens, text_of, tokens_in
from engine_bench.model_file import SHAPES, make_model
from engine_bench.plan import Bench
from engine_bench.results.figures import percentile
from engine_bench.results.journal import Journal, OtherBench, Run, read_journal
from engine_bench.results.ratios import NO_DIFFERENCE, Ratio, best, compare, ratio_of, verdict
from engine_bench.results.report import write_into, write_report
from engine_bench.results.rows import goal_rows, rows, setting_rows
from engine_bench.servers.contestants import TUNED, Place, command_of
from engine_bench.settings import SETTINGS, Setting
from engine_bench.sizes import SIZES

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
WITHOUT = "CHATBOT_ENGINE_WITHOUT="
PLACE = Place(Path("/model.gguf"), Path("/programs"), 2)
ANSWER = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b": queue position=1 eta=2\n\n"
    b'data: {"choices":[{"delta":{"content":"123"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"456789"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":3,'
    b'"prompt_tokens_details":{"cached_tokens":7}}}\n\ndata: [DONE]\n\n'
)


def run(contestant: str, number: int, value: float, *, void: str = "", figure: str = "tokens_per_second") -> Run:
    return Run("W3", number, contestant, 0, void, {figure: value})


def exchange(**changes: object) -> Exchange:
    fields: dict[str, object] = {
        "key": "k", "kind": "first", "user": "u", "wanted_prompt_tokens": 20, "wanted_tokens": 3, "sent_at": 1.0,
        "status": 200, "text": "123456789", "prompt_tokens": 20, "completion_tokens": 3, "finish": "length",
        "is_whole": True,
    }  # fmt: skip
    return Exchange(**(fields | changes))  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_of_the_medians() -> None:
    ours, theirs = {0: 10.0, 1: 40.0, 2: 90.0}, {0: 10.0, 1: 20.0, 2: 30.0}

    ratio = ratio_of(ours, theirs)

    assert ratio == Ratio(2.0, 1.0, 3.0, 3)


def test_a_round_that_one_side_lacks_is_in_no_ratio() -> None:
    runs = [run("ours", 0, 9.0), run("ours", 1, 8.0), run("llama-server a", 1, 4.0)]
    runs += [run("llama-server a", 0, 1.0, void="status 503")]

    assert compare(runs, "W3", ("ours", "llama-server a"), "tokens_per_second") == Ratio(2.0, 2.0, 2.0, 1)
    assert compare(runs, "W3", ("ours", "llama-server b"), "tokens_per_second") is None


@pytest.mark.parametrize(
    ("median", "noise", "said"),
    [
        (1.30, Ratio(1.0, 0.9, 1.1, 3), "better"),
        (1.11, Ratio(1.0, 0.9, 1.1, 3), NO_DIFFERENCE),  # 1 / 0.9 is 1.11...
        (0.92, Ratio(1.0, 0.95, 1.1, 3), NO_DIFFERENCE),
        (0.80, Ratio(1.0, 0.95, 1.1, 3), "worse"),
        (0.996, Ratio(1.0, 1.0, 1.0, 3), NO_DIFFERENCE),  # a counted figure: shown as 1.00
        (0.99, Ratio(1.0, 1.0, 1.0, 3), "worse"),
        (1.30, None, "no A/A pair"),
    ],
)
def test_nothing_is_said_that_the_same_program_twice_would_also_show(
    median: float, noise: Ratio | None, said: str
) -> None:
    assert verdict(Ratio(median, median, median, 3), noise, more_is_better=True) == said


def test_less_is_better_where_time_is_measured() -> None:
    noise = Ratio(1.0, 0.95, 1.05, 3)

    assert verdict(Ratio(0.5, 0.4, 0.6, 3), noise, more_is_better=False) == "better"


def test_the_best_rival_is_found_per_figure_and_never_among_void_runs() -> None:
    runs = [
        run("llama-server a", 0, 5.0),
        run("llama-server b", 0, 99.0, void="cut off"),
        run("llama-server c", 0, 7.0),
    ]

    assert best(runs, "W3", ["llama-server a", "llama-server b", "llama-server c"], ("tokens_per_second", True)) == (
        "llama-server c"
    )
    assert best(runs, "W3", ["llama-server a", "llama-server c"], ("tokens_per_second", False)) == "llama-server a"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"status": 503}, "status 503"),
        ({"is_whole": False}, "cut off"),
        ({"prompt_tokens": 19}, "prompt 19 of 20"),
        ({"completion_tokens": 4}, "answer 4 told and 3 received of 3"),
        ({"text": "123456"}, "3 told and 2 received"),
        ({"text": "1234567"}, "-1 received"),
        ({"text": "Hello!!!!"}, "-1 received"),
        ({"finish": "stop"}, "finish stop"),
    ],
)
def test_an_answer_that_is_not_the_work_asked_for_is_a_fault(changes: dict[str, object], fault: str | None) -> None:
    found = exchange(**changes).fault()

    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize("chunk", [None, 1, 11, 400])
def test_an_answer_is_read_the_same_however_it_is_cut(size: int, chunk: int | None) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    if chunk is None:
        whole = head + b"\r\n" + ANSWER
    else:
        parts = [ANSWER[i : i + chunk] for i in range(0, len(ANSWER), chunk)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    received = [(float(i), whole[i : i + size]) for i in range(0, len(whole), size)]
    found = exchange(status=0, text="", prompt_tokens=None, completion_tokens=None, finish=None, is_whole=False)

    read(found, received)

    assert found.fault() is None
    assert found.cached_tokens == 7
    assert [count for _, count in found.pieces] == [1, 2]
    assert found.pieces[0][0] <= found.pieces[1][0]


def test_a_refusal_says_when_to_come_back() -> None:
    found = exchange(status=0)

    read(found, [(1.0, b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}")])

    assert (found.status, found.retry_after_seconds) == (429, 7.0)


def test_texts_have_the_tokens_that_were_asked_for() -> None:
    text = text_of(random.Random(1), 50)

    assert tokens_in(text) == 50
    assert text.isdigit()
    assert prompt_tokens([{"role": "system", "content": text}, {"role": "user", "content": "123"}]) == 10 + 50 + 9 + 11


def test_a_long_prompt_is_sent_in_messages_that_our_service_takes() -> None:
    question = Mixed()._long(random.Random(1), 0)

    assert max(len(each["content"]) for each in question.messages) <= 8000
    assert question.messages[-1]["role"] == "user"
    assert sum(tokens_in(each["content"]) for each in question.messages) == 6000


def test_gaps_count_as_beside_a_long_prompt_where_they_overlap_its_reading() -> None:
    times = (1.0, 2.0, 2.5, 6.0, 6.1, 7.0)
    stream = exchange(kind="stream", pieces=[(at, 1) for at in times], done_at=7.0)
    long = exchange(kind="long", sent_at=3.0, pieces=[(5.0, 1)], done_at=5.1)

    figures = Mixed().figures([stream, long])

    assert (figures["itl_beside_p50"], figures["itl_quiet_max"], figures["ttft_long"]) == (3.5, 1.0, 2.0)


def test_a_seed_asks_the_same_of_everyone_and_rounds_ask_anew() -> None:
    body = Question("k", "first", "u", ({"role": "user", "content": text_of(random.Random(3), 4)},), 5).body()

    fields = json.loads(body)
    assert fields["messages"][0]["content"] == text_of(random.Random(3), 4)
    assert (fields["max_tokens"], fields["temperature"], fields["repeat_penalty"]) == (5, 0.7, 1.08)


def test_every_contestant_plays_every_round_once_and_the_order_rotates() -> None:
    chat = Chat()
    bench = Bench(PLACE, [chat], {"W1": ["ours", "llama-server a", TUNED, "ours again"]}, rounds=4)

    orders = [[name for number, _, name in bench.plan() if number == wanted] for wanted in range(4)]

    assert [order[0] for order in orders] == ["ours", "llama-server a", "ours again", TUNED]
    assert orders[0][-1] == TUNED  # made of the winner of the others
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_an_interrupted_bench_goes_on_where_it_was_even_after_half_a_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"commit": "a"})
    journal.add(run("ours", 0, 5.0, void="status 500"))
    journal.add(run("ours", 0, 5.0))
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"workload": "W3", "rou')

    again = Journal(tmp_path, {"commit": "a"})
    again.add(run("llama-server a", 0, 4.0))

    assert again.attempts("W3", 0, "ours") == (True, 1)
    assert again.attempts("W3", 1, "ours") == (False, 0)
    assert [each.contestant for each in read_journal(tmp_path)[1]] == ["ours", "ours", "llama-server a"]


def test_runs_of_another_commit_are_never_mixed_in(tmp_path: Path) -> None:
    Journal(tmp_path, {"commit": "a", "model": "m"})

    with pytest.raises(OtherBench, match="commit differ"):
        Journal(tmp_path, {"commit": "b", "model": "m"})


def test_the_report_names_the_winner_the_noise_and_what_was_missed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"machine": {"cpu": "test", "cores": 2}})
    for number in range(3):
        for name, speed in (("ours", 90.0), ("ours again", 91.0), ("llama-server a", 100.0), ("serial", 30.0)):
            journal.add(run(name, number, speed))

    text = write_report(tmp_path)

    (row,) = rows(journal.runs)
    assert (row["rival"], row["verdict"], row["ratio"]) == ("llama-server a", "worse", [0.9, 0.9, 0.9])
    assert {(goal["text"], goal["is_kept"]) for goal in goal_rows(journal.runs)} == {
        ("nothing shared: tokens/s", False),
        ("8 clients against the serial design: tokens/s", False),
    }
    assert "**missed**" in text
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["theirs"] == 100.0


def test_commands_in_the_report_name_no_machine(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"machine": {"cpu": "test", "cores": 2}})
    command = f"{Path.home()}/.cache/built/llama-server -m {Path.cwd()}/var/bench/small.gguf"
    for name in ("ours", "ours again", "llama-server a"):
        journal.add(Run("W3", 0, name, 0, "", {"tokens_per_second": 1.0}, command))

    text = write_report(tmp_path)

    assert "- W3 llama-server a: `~/.cache/built/llama-server -m var/bench/small.gguf`" in text


def test_pages_get_the_result_between_their_marks_and_keep_the_rest(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"machine": {"cpu": "test", "cores": 2}})
    for name, speed in (("ours", 90.0), ("ours again", 91.0), ("llama-server a", 100.0)):
        journal.add(run(name, 0, speed))
    page, short = tmp_path / "performance.md", tmp_path / "README.md"
    for file in (page, short):
        file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_into(tmp_path, [page, short])

    assert short.read_text().startswith(f"before\n{BEGIN}\n| goal |")
    assert page.read_text().endswith(f"{END}\nafter\n")
    assert "old" not in page.read_text() + short.read_text()
    short.write_text("no marks")
    with pytest.raises(ValueError, match="bench: begin"):
        write_into(tmp_path, [short])


def test_a_setting_is_compared_with_the_same_service_without_it() -> None:
    slow = "ours CHATBOT_ENGINE_THREADS=1"
    runs = [run(name, number, speed) for number in range(3) for name, speed in (("ours", 9.0), ("ours again", 9.0))]

    (row,) = setting_rows(runs + [run(slow, number, 4.5) for number in range(3)])

    assert (row["setting"], row["ratio"], row["verdict"]) == ("CHATBOT_ENGINE_THREADS=1", [0.5, 0.5, 0.5], "worse")


def test_a_setting_of_a_pool_is_compared_with_a_pool() -> None:
    pool, unpinned = "ours CHATBOT_ENGINE_WITHOUT=streams", "ours CHATBOT_ENGINE_WITHOUT=streams,pinning"
    speeds = {"ours": 9.0, "ours again": 9.0, pool: 6.0, unpinned: 3.0}

    found = setting_rows([run(name, number, speed) for number in range(3) for name, speed in speeds.items()])

    assert {row["setting"]: row["ratio"][0] for row in found} == {
        "CHATBOT_ENGINE_WITHOUT=streams": 6 / 9,
        "CHATBOT_ENGINE_WITHOUT=streams,pinning": 0.5,
    }


def ramped(key: str, sent_at: float, first_at: float, done_at: float) -> Exchange:
    pieces = [(first_at, 1), (done_at, 1)]
    return exchange(key=key, user=key, sent_at=sent_at, done_at=done_at, pieces=pieces, is_whole=True)


def test_a_good_answer_counts_in_the_stage_in_which_it_ended_and_nobody_asks_after_the_last_one() -> None:
    load = Ramp(stages=(1, 2), stage_seconds=10.0, first_seconds=4.0, gap_seconds=3.0)
    refused = exchange(key="r", user="r", status=429, sent_at=101.0, done_at=101.0, is_whole=False)

    figures = load.figures([
        refused,
        ramped("early", 100.0, 101.0, 103.0),
        ramped("across", 109.0, 110.0, 111.0),
        ramped("late", 111.0, 116.0, 117.0),
        ramped("slow", 111.0, 112.0, 119.0),
        ramped("afterwards", 118.0, 119.0, 121.0),
    ])  # fmt: skip

    assert (figures["goodput_1"], figures["goodput_2"], figures["goodput_last"]) == (0.1, 0.1, 0.1)
    assert figures["goodput_of_best"] == 1.0
    assert figures["answered_share"] == 5 / 6


def test_both_sides_get_the_same_pool_threads_and_slots() -> None:
    place = PLACE.sized(8, 1500)
    ours, theirs = command_of("ours", place), command_of(TUNED, place, "llama-server c")

    words = theirs.words
    assert ours.environment["CHATBOT_ENGINE_KV_TOKENS"] == words[words.index("-c") + 1] == str(8 * 1536)
    assert ours.environment["CHATBOT_ENGINE_SLOTS"] == words[words.index("-np") + 1]
    assert ours.environment["CHATBOT_ENGINE_THREADS"] == words[words.index("-t") + 1]
    assert ours.environment["LLAMA_CPP_LIB_PATH"] == str(Path(words[0]).parent)
    assert "--no-cache-idle-slots" in words
    assert words[words.index("-ub") + 1] == "256"


def test_a_setting_is_a_contestant_of_its_own() -> None:
    command = command_of("ours CHATBOT_ENGINE_STEP_TOKENS=512", PLACE)

    assert command.environment["CHATBOT_ENGINE_STEP_TOKENS"] == "512"


def test_settings_that_are_said_to_matter_exist_and_none_is_left_out() -> None:
    known = set(names())
    words = {word for setting in SETTINGS for word in f"{setting.beside} {setting.other}".split()}
    parts = {part for word in words for part in word.removeprefix(WITHOUT).split(",") if word.startswith(WITHOUT)}
    pattern = next(each.pattern for each in EngineSettings.model_fields["without"].metadata if hasattr(each, "pattern"))

    assert {word.partition("=")[0] for word in words} - {"GOMP_SPINCOUNT"} <= known  # that one is libgomp's
    assert parts == set(re.search(r"\(([a-z|]+)\)", pattern)[1].split("|"))  # type: ignore[index]
    assert {"CHATBOT_ENGINE_STEP_SECONDS=10", "CHATBOT_ENGINE_HOST_CACHE_MIB=0"} <= words


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.other)
def test_each_setting_plays_beside_the_same_service_without_it(setting: Setting) -> None:
    played = SIZES["settings"].contestants

    assert setting.workloads
    assert all(
        {setting.base, setting.contestant, "ours", "ours again"} <= set(played[name]) for name in setting.workloads
    )
    assert {*setting.beside.split()} <= {*command_words(setting.base)}
    assert command_words(setting.contestant) != command_words(setting.base)


def command_words(contestant: str) -> list[str]:
    return str(command_of(contestant, PLACE)).split()


@pytest.mark.parametrize("size", SIZES)
def test_ours_again_is_never_beside_ours_where_there_are_others(size: str) -> None:
    contestants = {name: list(names) for name, names in SIZES[size].contestants.items()}
    bench = Bench(PLACE, SIZES[size].workloads, contestants, rounds=12)
    orders: dict[tuple[int, str], list[str]] = {}
    for number, workload, name in bench.plan():
        orders.setdefault((number, workload.name), []).append(name)

    for (number, _), order in orders.items():
        apart = abs(order.index("ours") - order.index("ours again"))
        is_moved = number == 0 and TUNED in order
        assert apart >= len(order) // 2 - is_moved or len(order) <= 3, order


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_an_aa_pair_and_a_rival_for_each_workload(size: str) -> None:
    for workload in SIZES[size].workloads:
        names = SIZES[size].contestants[workload.name]

        assert {"ours", "ours again"} <= set(names)
        assert size == "settings" or any(name.startswith("llama-server") for name in names)


def test_the_models_own_tokens_are_groups_of_three_digits(tmp_path: Path) -> None:
    path = make_model(tmp_path / "model.gguf", SHAPES["tiny"])

    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    may_come = [token for token, row in enumerate(tensors["output.weight"]) if row[0] == 0]
    texts = reader.fields["tokenizer.ggml.tokens"].contents()
    assert {texts[token] for token in may_come} == {f"{number:03d}" for number in range(1000)}
    assert (tensors["token_embd.weight"][:, 0] == 4).all()
    assert (tensors["blk.1.ffn_down.weight"][0] == 0).all()


def test_percentiles_are_by_nearest_rank() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], percent) for percent in (0, 25, 50, 99)] == [1.0, 1.0, 2.0, 4.0]
