"""The engine process over its socket: loads or says why not, generates, cancels, ends with its parent."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parts.engine_child import DIALOGUE, LOAD, SAMPLING, EngineChild, engine_child
from parts.toy_gguf import make_nan_toy, make_slow_toy, make_toy, make_truncated_toy, make_wrong_magic_toy

DEMO_MODEL = Path(__file__).parents[2] / "services/demo-model/chatbot-demo.gguf"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "toy.gguf")


@pytest.fixture
def child() -> Iterator[EngineChild]:
    with engine_child() as each:
        yield each


def test_a_ready_engine_says_what_it_is(child: EngineChild, toy: Path) -> None:
    ready = child.load(toy, slots=3, kv_tokens=3000)

    assert ready["type"] == "ready"
    assert (ready["name"], ready["chat_format"], ready["slots"]) == ("toy", "llama3", 3)
    assert (ready["context_tokens"], ready["kv_tokens"]) == (1024, 3072)
    assert ready["tokens_per_second"] > 0
    assert "weights" in ready["memory"]
    assert "GiB" in ready["memory"]
    assert "CPU : " in ready["hardware"]


def test_progress_of_a_load_is_told(child: EngineChild, tmp_path: Path) -> None:
    child.send(LOAD | {"model_path": str(make_slow_toy(tmp_path / "slow.gguf"))})

    fractions = []
    while (frame := child.receive())["type"] == "loading":
        fractions.append(frame["fraction"])

    assert fractions == sorted(fractions)
    assert fractions


def test_many_answers_at_once_come_whole(child: EngineChild, toy: Path) -> None:
    child.load(toy, slots=4)
    for number in range(8):
        child.generate(f"r{number}", f"question {number}", max_tokens=20)

    ends = child.answers(*(f"r{number}" for number in range(8)))

    assert {end["finish"] for end in ends.values()} <= {"length", "stop"}
    assert all(end["prompt_tokens"] > end["cached_tokens"] > 10 for end in ends.values())
    assert all(end["prompt_seconds"] > 0 and end["text"] for end in ends.values())


def test_pieces_are_whole_characters_and_counted(child: EngineChild, toy: Path) -> None:
    child.load(toy)
    child.generate("long", "세종대왕은 누구야?", max_tokens=200)

    tokens, end = 0, {}
    for event in child.events():
        tokens += event["tokens"]
        if "finish" in event:
            end = event
            break

    assert tokens == end["completion_tokens"]


def test_an_answer_follows_its_grammar_and_an_unreadable_one_is_refused_alone(child: EngineChild, toy: Path) -> None:
    child.load(toy, slots=2)
    child.generate("bound", "1+1=", grammar='root ::= "{\\"sum\\":" [0-9]{1,3} "}"', max_tokens=50)
    child.generate("unreadable", "1+1=", grammar="root ::= missing")

    ends = child.answers("bound", "unreadable")

    assert list(json.loads(ends["bound"]["text"])) == ["sum"]
    assert (ends["unreadable"]["finish"], ends["unreadable"]["completion_tokens"]) == ("grammar", 0)


def test_a_cancelled_generation_is_silent_and_frees_its_slot(child: EngineChild, tmp_path: Path) -> None:
    child.load(make_slow_toy(tmp_path / "slow.gguf"), slots=1)
    child.generate("gone", max_tokens=900)
    child.generate("never", max_tokens=900)
    assert next(child.events())["id"] == "gone"

    child.send({"type": "cancel", "id": "never"})
    child.send({"type": "cancel", "id": "gone"})
    child.generate("next", max_tokens=3)

    later = [event["id"] for event in _until(child, "next")]
    cancelled_last = max((place for place, each in enumerate(later) if each == "gone"), default=-1)
    assert "never" not in later
    assert "gone" not in later[cancelled_last + 1 :]
    stats = child.stats()
    assert (stats["active"], stats["waiting"]) == (0, 0)
    assert stats["generated_tokens"] < 900


def test_a_question_that_never_fits_is_named_at_once(child: EngineChild, toy: Path) -> None:
    child.load(toy)
    child.generate("long", "가" * 2000)
    child.generate("greedy", "short", max_tokens=1020)

    ends = child.answers("long", "greedy")

    assert (ends["long"]["finish"], ends["long"]["too_long"]) == ("too_long", "question")
    assert (ends["greedy"]["finish"], ends["greedy"]["too_long"]) == ("too_long", "max_tokens")


def test_a_prompt_is_measured_without_an_answer(child: EngineChild, toy: Path) -> None:
    child.load(toy)
    frame = {"dialogue": DIALOGUE, "sampling": SAMPLING}
    child.send({"type": "measure", "id": "m1"} | frame)
    child.send({"type": "measure", "id": "m2"} | frame | {"dialogue": DIALOGUE | {"system": "s" * 3000}})

    first, second = child.receive(), child.receive()

    assert (first["type"], first["id"], first["too_long"]) == ("measured", "m1", None)
    assert (second["id"], second["too_long"]) == ("m2", "system")
    assert 0 < first["prompt_tokens"] < 100


def test_a_deadline_ends_an_answer(child: EngineChild, tmp_path: Path) -> None:
    child.load(make_slow_toy(tmp_path / "slow.gguf"), slots=1)
    child.generate("late", max_tokens=900, timeout_seconds=0.5)
    child.generate("too late", max_tokens=900, timeout_seconds=0.01)

    ends = child.answers("late", "too late")

    assert ends["late"]["finish"] in ("length", "timeout")
    assert ends["late"]["completion_tokens"] < 900
    assert ends["too late"]["finish"] == "timeout"


def test_the_heart_beats_while_a_step_runs(child: EngineChild, tmp_path: Path) -> None:
    child.load(make_slow_toy(tmp_path / "slow.gguf"), context_tokens=2048, step_tokens=2048, slots=1)
    child.generate("long", "a b c d " * 430, max_tokens=2)

    child.answers("long")
    child.stats()

    running = [beat for beat in child.heartbeats if beat["step_seconds"] > 0]
    assert running
    assert all(beat["predicted_seconds"] >= 0 for beat in running)
    assert child.heartbeats[-1]["step_seconds"] == 0


@pytest.mark.parametrize(
    ("make", "reason", "words"),
    [
        (make_truncated_toy, "ModelInvalid", "cut off"),
        (make_wrong_magic_toy, "ModelInvalid", "GGUF"),
        (make_nan_toy, "SmokeNaN", "no numbers"),
        (lambda path: path, "ModelMissing", "no file"),
        (lambda path: path.parent, "LoadFailed", "cannot be read"),
    ],
    ids=["truncated", "wrong magic", "NaN", "missing", "a folder"],
)
def test_a_bad_model_fails_with_its_reason(
    child: EngineChild, tmp_path: Path, make: Callable[[Path], Path], reason: str, words: str
) -> None:
    failed = child.load(make(tmp_path / "bad.gguf"))

    assert (failed["type"], failed["reason"]) == ("failed", reason)
    assert words in failed["message"]
    assert child.process.wait(timeout=30) != 0


def test_a_model_without_printable_answer_fails(child: EngineChild, tmp_path: Path) -> None:
    failed = child.load(make_toy(tmp_path / "mute.gguf", mute=True))

    assert (failed["type"], failed["reason"]) == ("failed", "SmokeEmpty")


def test_a_model_that_does_not_fit_fails_with_the_arithmetic(child: EngineChild, toy: Path) -> None:
    failed = child.load(toy, kv_tokens=1 << 24, slots=4, step_tokens=4096)

    assert (failed["type"], failed["reason"]) == ("failed", "OutOfMemory")
    assert "weights 0.00 + pool" in failed["message"]
    assert "GiB of" in failed["message"]


def test_a_format_that_the_file_lacks_fails(child: EngineChild, toy: Path) -> None:
    failed = child.load(toy, chat_format="gemma")

    assert (failed["type"], failed["reason"]) == ("failed", "ModelInvalid")
    assert "<start_of_turn>" in failed["message"]


@pytest.mark.parametrize("moment", ["idle", "answering", "loading"])
def test_the_process_ends_with_its_parent(moment: str, tmp_path: Path) -> None:
    with engine_child() as child:
        slow = make_slow_toy(tmp_path / "slow.gguf")
        if moment == "loading":
            child.send(LOAD | {"model_path": str(slow)})
            child.receive()
        else:
            child.load(slow)
        if moment == "answering":
            child.generate("long", max_tokens=900)
            next(child.events())

        started = time.monotonic()
        code = child.close()

    assert code == 0
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[1]", b"\xff", json.dumps({"type": "dance"}).encode()],
    ids=["no type", "list", "bytes", "unknown"],
)
def test_a_broken_frame_ends_the_process(child: EngineChild, toy: Path, body: bytes) -> None:
    child.load(toy)

    child.channel.sendall(len(body).to_bytes(4, "big") + body)

    assert child.process.wait(timeout=30) == 4


def test_the_demo_model_remembers_a_name(child: EngineChild) -> None:
    ready = child.load(DEMO_MODEL)
    history = [["user", "My name is Minji."], ["assistant", "Nice to meet you, Minji!"]]
    child.generate(
        "name", max_tokens=30, dialogue=DIALOGUE | {"history": history, "question": ["user", "What is my name?"]}
    )

    answer = child.answers("name")["name"]

    assert ready["name"] == "chatbot-demo"
    assert answer["text"] == "Your name is Minji."
    assert answer["finish"] == "stop"


def test_a_conversation_computes_only_its_new_turn(child: EngineChild) -> None:
    child.load(DEMO_MODEL)
    history: list[list[str]] = []
    new_tokens = []
    for number, question in enumerate(("Hello!", "My name is Minji.", "What is my name?", "Thanks!")):
        dialogue = DIALOGUE | {"history": history, "question": ["user", question]}
        child.generate(f"turn{number}", dialogue=dialogue, max_tokens=40)
        end = child.answers(f"turn{number}")[f"turn{number}"]
        new_tokens.append(end["prompt_tokens"] - end["cached_tokens"])
        history += [["user", question], ["assistant", end["text"]]]

    assert max(new_tokens[1:]) < 30


def _until(child: EngineChild, request_id: str) -> list[dict[str, Any]]:
    seen = []
    for event in child.events():
        seen.append(event)
        if event["id"] == request_id and "finish" in event:
            return seen
    raise AssertionError("unreachable")
