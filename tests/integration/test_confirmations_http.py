"""Tools of an MCP server that write: asked for, confirmed, run once; and everything that is refused instead."""

from pathlib import Path
from typing import Any

import pytest
from parts.sse import events
from parts.waiting import until
from parts.writing_tools import WRITE, study

STREAM = {"Accept": "text/event-stream"}


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


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
    import sqlite3

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
