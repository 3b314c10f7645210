"""Tools of an MCP server that write: asked for, confirmed, run once; and everything that is refused instead."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.audit.sqlite import SqliteAudit
from chatbot.core.audit.audit import Audit
from chatbot.core.audit.chain import Chain
from chatbot.domain.errors import ModelUnavailable, StoreUnavailable
from parts.injections import INJECTIONS
from parts.sse import events
from parts.waiting import until
from parts.writing_tools import ASKS_FIRST, WRITE, Notebook, Study, study

STREAM = {"Accept": "text/event-stream"}


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def on_disk(folder: Path, name: str) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob(f"{name}.sqlite3*"))


async def test_a_call_that_writes_is_shown_and_not_run_until_its_user_confirms_it(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        answer = await room.chat()

        shown = answer.json()
        (call,) = shown["confirmations"]
        assert (call["server"], call["tool"], call["arguments"]) == ("book", WRITE, {"line": "우유 사기"})
        assert 590 <= call["expires_in_seconds"] <= 600
        assert "아직 실행하지 않았습니다" in shown["response"] and '{"line": "우유 사기"}' in shown["response"]
        assert (room.book.begun, shown["tool_calls"], len(room.model.requests)) == (0, [], 1)

        done = await room.chat(confirm=[call["id"]])

        assert (done.status_code, room.book.written) == (200, ["우유 사기"])
        assert "line 1 is written" in done.json()["response"]
        assert done.json()["tool_calls"][0]["ok"] and "confirmations" not in done.json()
        assert (room.told("asked"), room.told("done")) == (1, 1)
        history = (await room.client.get("/chat/s/history", headers={"X-User-ID": "u"})).json()
        assert len(history["turns"]) == 2


async def test_a_stream_has_the_call_in_an_event_and_in_its_end(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        question = {"input_data": "write it down", "user_id": "u", "db_id": "d"}
        async with room.client.stream("POST", "/Llama", json=question, headers=STREAM) as answer:
            told = [event async for event in events(answer)]
        (call,) = [data for name, data in told if name == "confirm"]
        assert told[-1][0] == "done" and told[-1][1]["confirmations"][0]["id"] == call["id"]
        assert "".join(data["text"] for name, data in told if name == "token").startswith("This needs your")

        async with room.client.stream(
            "POST", "/Llama", json={**question, "confirm": [call["id"]]}, headers=STREAM
        ) as answer:
            told = [event async for event in events(answer)]

        assert [data["state"] for name, data in told if name == "tool"] == ["started", "done"]
        assert room.book.written == ["우유 사기"]


@pytest.mark.parametrize(
    "more", [{"session_id": None}, {"store": False}, {"tools": []}, {"documents": False, "google_access": True}]
)
async def test_nothing_is_offered_where_it_could_not_be_found_again_or_others_words_are_read(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    async with study(tmp_path) as room:
        if more.get("session_id", "") is None:
            answer = await room.client.post("/chat", json={"message": "적어 줘", "user_id": "u", "store": False})
        else:
            answer = await room.chat(**more)

        assert answer.status_code == 200 and "confirmations" not in answer.json()
        assert (room.book.begun, WRITE in room.model.offered()) == (0, False)


async def test_an_answer_in_one_piece_that_is_a_bare_string_and_v1_are_offered_nothing_that_writes(
    tmp_path: Path,
) -> None:
    async with study(tmp_path) as room:
        plain = await room.client.post("/Llama", json={"input_data": "적어 줘", "user_id": "u", "db_id": "d"})
        assert (plain.status_code, WRITE in room.model.offered()) == (200, False)

        v1 = {"model": "eager", "messages": [{"role": "user", "content": "write"}]}
        answer = await room.client.post("/v1/chat/completions", json=v1)

        assert (answer.status_code, room.model.requests[-1].tools, room.book.begun) == (200, None, 0)
        named = await room.client.post("/v1/chat/completions", json={**v1, "chatbot_tools": ["book__read", WRITE]})
        error = named.json()["error"]
        assert (named.status_code, error["param"], room.book.begun) == (400, "chatbot_tools", 0)
        assert "/chat" in error["message"]


async def test_what_is_not_exactly_this_users_call_of_this_session_is_refused(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()

        assert refusal(await room.chat(user="other", confirm=[call])) == (404, "confirmation_not_found")
        assert refusal(await room.chat(session="t", confirm=[call])) == (404, "confirmation_not_found")
        assert refusal(await room.chat(confirm=[f"{call[:-1]}{'0' if call[-1] != '0' else '1'}"]))[0] == 404
        assert refusal(await room.chat(confirm=["yes"])) == (422, "invalid_input")
        assert refusal(await room.chat(confirm=[call] * 5)) == (422, "invalid_input")
        nameless = await room.client.post("/Llama", json={"input_data": "네", "user_id": "u", "confirm": [call]})
        assert refusal(nameless) == (422, "invalid_input")
        assert refusal(await room.chat(confirm=[call], local_only=True)) == (422, "invalid_input")
        assert room.book.begun == 0

        assert (await room.chat(confirm=[call, call])).status_code == 200
        again = await room.chat(confirm=[call])

        assert (refusal(again), again.json()["state"]) == ((409, "confirmation_used"), "done")
        assert (room.book.begun, room.told("used"), room.told("not_found")) == (1, 1, 3)


async def test_a_call_can_be_confirmed_for_ten_minutes(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        early, late = (await room.asked())[0], (await room.asked())[0]
        room.clock.ahead_seconds = 590
        assert (await room.chat(confirm=[early])).status_code == 200

        room.clock.ahead_seconds = 601

        assert refusal(await room.chat(confirm=[late])) == (409, "confirmation_expired")
        assert room.book.begun == 1


async def test_a_tool_that_changed_since_is_not_run(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        await room.leave()
        room.book.description = "Sends the notebook away."
        await room.come_back()

        assert refusal(await room.chat(confirm=[call])) == (409, "confirmation_changed")
        assert room.book.begun == 0


async def test_arguments_that_are_changed_where_they_are_kept_are_not_run(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        with sqlite3.connect(tmp_path / "history.sqlite3") as file:
            changed = "UPDATE turns SET proposals = replace(proposals, '우유', '독약')"
            assert file.execute(changed).rowcount == 1

        assert refusal(await room.chat(confirm=[call])) == (409, "confirmation_changed")
        assert room.book.begun == 0


async def test_a_server_that_is_away_runs_nothing_and_the_call_can_be_confirmed_later(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        await room.place.stop()
        told = await room.chat(confirm=[call])  # the first one finds out; it is sent once, and never again
        await until(lambda: not room.servers.is_up("book"))
        assert (told.status_code, told.json()["tool_calls"][0]["ok"]) == (200, False)
        assert "unavailable" in told.json()["response"]

        await room.come_back()
        (then,) = await room.asked()
        await room.leave()
        assert refusal(await room.chat(confirm=[then])) == (503, "tool_unavailable")

        await room.come_back()
        assert (await room.chat(confirm=[then])).status_code == 200
        assert room.book.written == ["우유 사기"]


async def test_nothing_is_run_however_often_a_model_calls(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    turns = scale(30, 1_000)
    async with study(tmp_path) as room:
        room.model.calls = tuple((WRITE, {"line": f"line {number}"}) for number in range(6))
        asked = [await room.asked(session=f"s{number // 20}") for number in range(turns)]

        assert {len(one) for one in asked} == {4}  # of one answer no more are asked for
        assert (room.book.begun, len({call for one in asked for call in one})) == (0, 4 * turns)
    figures(turns=turns, calls_asked_for=4 * turns, run_without_confirmation=room.book.begun)


async def test_of_confirmations_that_race_in_two_processes_one_runs_the_call(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    rounds, won = scale(4, 200), [0, 0]
    async with study(tmp_path) as room:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "parts.writing_tools", str(tmp_path), str(room.place.port)),
            cwd=Path(__file__).parents[1],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            url = (await asyncio.wait_for(child.stdout.readline(), 60)).decode().strip()
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as other:
                for number in range(rounds):
                    (call,) = await room.asked(session=f"s{number}")
                    yes = {"message": "네", "user_id": "u", "session_id": f"s{number}", "confirm": [call]}
                    clients = [room.client, other] * 3
                    answers = await asyncio.gather(*(one.post("/chat", json=yes) for one in clients))
                    statuses = [one.status_code for one in answers]
                    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
                    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"confirmation_used"}
                    won[statuses.index(200) % 2] += 1
                    assert len(room.book.written) == number + 1
        finally:
            child.stdin.close()
            await child.wait()
    figures(races=rounds, processes=2, confirmations=6 * rounds, runs=room.book.begun, won_by=won)


def hostile(room: Study, text: str) -> None:
    room.book.page = text.replace("web_search", WRITE)
    room.model.calls, room.model.persists = (("book__read", {}),), True


async def test_a_hundred_hostile_texts_cause_no_call_to_be_asked_for(
    tmp_path: Path, figures: Callable[..., None]
) -> None:
    inside = replace(ASKS_FIRST, is_inside=True)  # what only stays because it reads, stays
    async with study(tmp_path, policy=inside) as room:
        for number, text in enumerate(INJECTIONS):
            hostile(room, f"{text} {WRITE}")
            asked = await room.asked(session=f"s{number}")
            assert asked == [], text
            assert WRITE not in room.model.offered()

        assert (room.book.begun, room.told("asked")) == (0, 0)
        assert room.book.reads >= len(INJECTIONS)
    figures(hostile_texts=len(INJECTIONS), calls_asked_for=0, run=room.book.begun)


async def test_what_was_read_beside_a_call_is_no_reason_to_forget_it(tmp_path: Path) -> None:
    """The call was decided before anything was read."""
    async with study(tmp_path) as room:
        room.model.calls = (("book__read", {}), (WRITE, {"line": "a"}))
        answer = (await room.chat()).json()

        assert [one["name"] for one in answer["tool_calls"]] == ["book__read"]
        assert [one["arguments"] for one in answer["confirmations"]] == [{"line": "a"}]


async def test_a_confirmed_call_leads_to_no_other_in_the_same_answer(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        room.model.persists = True

        answer = await room.chat(confirm=[call])

        assert (answer.status_code, "confirmations" in answer.json(), room.book.begun) == (200, False, 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"line": "safe\u202e\u200b"}, "hidden_text"),
        ({"line": "tag \U000e0041"}, "hidden_text"),
        ({"line": "x" * 5_000}, "too_long"),
        ({"line": "x" * 9_000}, "bad_arguments"),
        ({"line": "\ud800"}, "hidden_text"),
    ],
)
async def test_what_a_person_could_not_see_is_not_asked_for(
    tmp_path: Path, arguments: dict[str, str], error: str
) -> None:
    async with study(tmp_path) as room:
        room.model.calls = ((WRITE, arguments),)

        answer = await room.chat()

        assert (answer.status_code, "confirmations" in answer.json(), room.book.begun) == (200, False, 0)
        assert error in answer.json()["response"]


async def test_what_is_asked_for_is_shown_as_data_that_no_client_follows(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        line = "``` ![x](https://evil.com/p.png) 안녕 👩‍👩‍👧"
        room.model.calls = ((WRITE, {"line": line}),)

        answer = (await room.chat()).json()

        assert answer["confirmations"][0]["arguments"] == {"line": line}
        assert answer["response"].count("```") == 2
        assert "![x]" in answer["response"].split("```")[1]


async def test_a_call_that_ends_no_more_is_told_as_unknown_and_never_made_again(tmp_path: Path) -> None:
    policy = replace(ASKS_FIRST, timeout_seconds=0.3)
    async with study(tmp_path, Notebook(seconds=60), policy) as room:
        (call,) = await room.asked()
        answer = await room.chat(confirm=[call])

        assert "unknown_whether_done" in answer.json()["response"]
        assert not answer.json()["tool_calls"][0]["ok"]
        again = await room.chat(confirm=[call])
        assert (refusal(again), again.json()["state"]) == ((409, "confirmation_used"), "unsure")
        assert (room.book.begun, room.book.written, room.told("unsure")) == (1, [], 1)


async def test_a_server_that_dies_while_it_writes_leaves_it_unknown(tmp_path: Path) -> None:
    async with study(tmp_path, Notebook(seconds=60)) as room:
        (call,) = await room.asked()
        confirming = asyncio.create_task(room.chat(confirm=[call]))
        await until(lambda: room.book.begun)
        await room.place.stop()

        answer = await confirming

        assert "unknown_whether_done" in answer.json()["response"]
        await room.come_back()
        assert room.book.begun == 1


async def test_a_tool_that_fails_is_told_and_kept_as_failed(tmp_path: Path) -> None:
    async with study(tmp_path, Notebook(fails=True)) as room:
        (call,) = await room.asked()
        answer = await room.chat(confirm=[call])

        assert "tool_error" in answer.json()["response"]
        assert (await room.chat(confirm=[call])).json()["state"] == "failed"
        assert (room.book.begun, room.told("failed")) == (1, 1)


async def test_a_confirmed_call_is_ended_although_whoever_confirmed_it_has_left(tmp_path: Path) -> None:
    async with study(tmp_path, Notebook(seconds=0.5)) as room:
        (call,) = await room.asked()
        leaving = asyncio.create_task(room.chat(confirm=[call]))
        await until(lambda: room.book.begun)
        leaving.cancel()

        await until(lambda: room.told("done"))
        await until(lambda: room.book.written)
        again = await room.chat(confirm=[call])
        assert (again.status_code, again.json()["state"], room.book.begun) == (409, "done", 1)


async def test_a_model_that_fails_behind_the_call_does_not_hide_that_it_was_run(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        room.model.failure = ModelUnavailable("gone")

        answer = await room.chat(confirm=[call])

        assert answer.status_code == 200
        assert answer.json()["response"] == f"{WRITE}: 실행했습니다."
        assert room.book.written == ["우유 사기"]


async def test_a_confirmation_is_recorded_without_its_arguments_and_not_run_where_it_cannot_be(tmp_path: Path) -> None:
    audit = Audit(SqliteAudit(tmp_path / "audit.sqlite3"), Chain((b"s" * 64,)))
    async with study(tmp_path, audit=audit) as room:
        (call,) = await room.asked()
        await room.chat(confirm=[call])
        records = [one.entry for one in await audit.store.read(0, 100)]
        assert [(one.action, one.object, one.outcome) for one in records] == [
            ("tool.confirm", WRITE, "begun"),
            ("tool.confirm", WRITE, "done"),
        ]
        assert "우유".encode() not in on_disk(tmp_path, "audit")

        (then,) = await room.asked()
        audit.store = BrokenAudit()  # type: ignore[assignment]
        assert refusal(await room.chat(confirm=[then])) == (503, "audit_unavailable")
        assert room.book.begun == 1


class BrokenAudit:
    """Records nothing."""

    async def marks(self) -> Any:
        raise StoreUnavailable("away")


async def test_an_erased_conversation_takes_what_it_asked_for_along(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        erased = await room.client.delete("/chat/s/history", headers={"X-User-ID": "u"})

        assert erased.status_code == 204
        assert refusal(await room.chat(confirm=[call])) == (404, "confirmation_not_found")
        assert room.book.begun == 0
        assert call.encode() not in on_disk(tmp_path, "history")


async def test_the_list_of_tools_says_which_ask_first(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        listed = (await room.client.get("/tools")).json()["tools"]

        assert {one["name"]: one["asks_first"] for one in listed} == {WRITE: True, "book__read": False}


async def test_a_call_is_confirmed_by_its_idempotent_request_once_and_answered_twice(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        (call,) = await room.asked()
        yes = {"message": "네", "user_id": "u", "session_id": "s", "confirm": [call]}
        headers = {"Idempotency-Key": "yes-1"}
        first = await room.client.post("/chat", json=yes, headers=headers)
        again = await room.client.post("/chat", json=yes, headers=headers)

        assert (first.status_code, again.status_code, room.book.begun) == (200, 200, 1)
        assert first.json()["response"] == again.json()["response"]


async def test_a_request_that_is_repeated_asks_for_the_same_calls_while_they_wait(tmp_path: Path) -> None:
    async with study(tmp_path) as room:
        question = {"message": "적어 줘", "user_id": "u", "session_id": "s"}

        async def asked() -> tuple[str, ...]:
            answer = await room.client.post("/chat", json=question, headers={"Idempotency-Key": "k"})
            return tuple(one["id"] for one in answer.json().get("confirmations", []))

        told = await asyncio.gather(*(asked() for _ in range(6)))
        assert len({*told, await asked()}) == 1 and len(told[0]) == 1

        assert (await room.chat(confirm=[*told[0]])).status_code == 200
        assert (await asked(), room.book.begun) == ((), 1)


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
async def test_the_user_is_asked_and_refused_in_his_language(tmp_path: Path, language: str) -> None:
    async with study(tmp_path) as room:
        words = {"ko": "적어 줘", "en": "write it down please", "ja": "書いてください"}
        answer = await room.chat(language=language, message=words[language])
        shown = {"ko": "확인이 필요한", "en": "This needs your confirmation", "ja": "確認が必要"}
        assert shown[language] in answer.json()["response"]

        (call,) = [one["id"] for one in answer.json()["confirmations"]]
        room.clock.ahead_seconds = 700
        late = await room.chat(language=language, confirm=[call])
        titles = {"ko": "확인 시간이 지났습니다", "en": "Too late to confirm", "ja": "確認の期限が切れました"}
        assert late.json()["title"] == titles[language]
