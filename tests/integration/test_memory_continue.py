"""A conversation that goes on in a new one, over a real socket: what goes over, once, and what ends it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.core.history import History
from chatbot.core.memory.continuing import CARRIED_TURNS, continued
from chatbot.core.memory.summarising import SummaryPolicy
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import Caller, ConversationKey, Turn
from chatbot.domain.errors import ConversationErased, StoreUnavailable
from chatbot.domain.ports import ConversationStore
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Policies, Tenant
from parts.fakes import CountingTelemetry, MemoryStore
from parts.http_service import Service, ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.writing_model import WritingModel

ME = {"x-user-id": "u"}
LONG = "가" * 200
KEY = ConversationKey("office", Caller("", "u"), "c")
CONTINUE = "/conversations/c/continue"


@asynccontextmanager
async def chatting(folder: Path, **options: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A service that makes summaries, and a client of `u`."""
    made = ServiceOptions(generator=WritingModel(), summaries=SummaryPolicy(), **options)
    async with running_service(folder, made) as service, service.client(headers=ME) as client:
        yield service, client


async def ask(client: httpx.AsyncClient, text: str, db_id: str = "c", **fields: Any) -> None:
    asked = {"input_data": text, "user_id": "u", "db_id": db_id} | fields
    assert (await client.post("/Llama", json=asked)).status_code == 200


async def fill(service: Service, client: httpx.AsyncClient, turns: int) -> None:
    assert service.summaries is not None
    for number in range(turns):
        await ask(client, f"{number}{LONG}")
        await service.summaries.idle()


async def test_a_new_conversation_knows_what_the_long_one_knew(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (service, client):
        await fill(service, client, 9)
        await client.put("/conversations/c/pins", json={"pins": ["핀 하나", "핀 둘"]})
        await client.put("/conversations/c/note", json={"text": "짧게", "depth": 1})
        before = (await client.get("/conversations/c")).json()
        made = (await client.post(CONTINUE)).json()
        shown = (await client.get(f"/conversations/{made['db_id']}")).json()
        await ask(client, "이어서", made["db_id"])
        told = service.generator.requests[-1].dialogue
        await ask(client, "여기서")
        told_before = service.generator.requests[-1].dialogue
        after = (await client.get("/conversations/c")).json()
        listed = (await client.get("/conversations")).json()["conversations"]

    uncovered = 9 - before["summary"]["turns"]
    assert made == {"db_id": made["db_id"], "turns": uncovered + 1, "has_summary": True, "has_note": True, "pins": 2}
    assert shown["turns"] == before["turns"][-uncovered - 1 :]
    assert shown["summary"]["text"] == before["summary"]["text"] == "They talked."
    assert (told.system, told.history) == (told_before.system, told_before.history)  # the model is told the same
    assert "They talked." in told.system and told.system.endswith("- 핀 하나\n- 핀 둘")
    assert after["turns"][:9] == before["turns"]
    assert sorted(one["db_id"] for one in listed) == sorted(["c", made["db_id"]])


async def test_the_same_request_again_is_the_same_conversation(tmp_path: Path) -> None:
    once = {"idempotency-key": "go-on"}
    async with chatting(tmp_path) as (_, client):
        for number in range(3):
            await ask(client, str(number))
        await client.put("/conversations/c/pins", json={"pins": ["핀"]})
        first = (await client.post(CONTINUE, headers=once)).json()
        await client.put(f"/conversations/{first['db_id']}/pins", json={"pins": ["다른 핀"]})
        await ask(client, "새로", first["db_id"])
        await ask(client, "옛날")
        again = (await client.post(CONTINUE, headers=once)).json()
        pins = (await client.get(f"/conversations/{first['db_id']}/pins")).json()["pins"]
        turns = (await client.get(f"/conversations/{first['db_id']}")).json()["turns"]
        others = [(await client.post(CONTINUE, headers=one)).json()["db_id"] for one in ({}, {"idempotency-key": "b"})]
        wrong = await client.post(CONTINUE, headers={"idempotency-key": "a b"})

    assert again == first | {"turns": 4}
    assert (pins, [one["question"] for one in turns]) == (["다른 핀"], ["0", "1", "2", "새로"])
    assert len({first["db_id"], *others}) == 3
    assert (wrong.status_code, wrong.json()["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("language", "said"), [("ko", "먼저 pins를"), ("en", "set its pins first"), ("ja", "先に pins を")]
)
async def test_there_must_be_something_to_carry(language: str, said: str, tmp_path: Path) -> None:
    async with chatting(tmp_path) as (_, client):
        missing = await client.post(CONTINUE)
        await ask(client, "하나")
        refused = await client.post(CONTINUE, headers={"accept-language": language})
        listed = (await client.get("/conversations")).json()["conversations"]

    assert (missing.status_code, missing.json()["code"]) == (404, "conversation_not_found")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_carry")
    assert said in refused.json()["detail"] and len(listed) == 1


async def test_it_is_its_users_alone_and_needs_a_key_that_may_chat(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ME) as client:
        chats, reads = [await keyed.header(Rights(frozenset({one}))) for one in (Scope.CHAT, Scope.CONVERSATIONS_READ)]
        asked = {"input_data": "하나", "user_id": "u", "db_id": "c"}
        assert (await client.post("/Llama", json=asked, headers=chats)).status_code == 200
        await client.put("/conversations/c/pins", json={"pins": ["핀"]}, headers=chats)
        codes = [(await client.post(CONTINUE, headers=header)).status_code for header in (chats, reads)]
        other = await client.post(CONTINUE, headers=chats | {"x-user-id": "v"})

    assert (codes, other.status_code) == ([200, 403], 404)


async def test_a_tenant_that_keeps_nothing_begins_none(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (_, client):
        await ask(client, "하나")
        await client.put("/conversations/c/pins", json={"pins": ["핀"]})
    tenants = Policies([Tenant(name="default", privacy=Privacy(may_store=False))])
    async with chatting(tmp_path, tenants=tenants) as (_, client):
        refused = await client.post(CONTINUE)
        listed = (await client.get("/conversations")).json()["conversations"]

    assert (refused.status_code, refused.json()["problem"], len(listed)) == (422, "nothing_is_kept", 1)


class Faulty(MemoryStore):
    """Fails at its nth write, as often as it is told to; may erase the first conversation before one."""

    fails_at = 0
    erases_at = 0
    writes = 0

    async def _call(self, name: str) -> None:
        await super()._call(name)
        if name in ("load", "erase"):
            return
        self.writes += 1
        if self.writes == self.erases_at:
            await self.erase(KEY)
        if self.writes == self.fails_at:
            raise StoreUnavailable("down")


async def filled(store: ConversationStore, turns: int, *, local_only: bool = False) -> History:
    """A conversation with pins, and what uses it."""
    history = History("office", store, CountingTelemetry(), refuses_when_down=False)
    read = await store.load(KEY)
    for number in range(turns):
        at = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=number)
        turn = Turn(f"t{number}", f"q{number}", "a", at, proposals="" if number % 2 else "[]")
        await history.append(read, turn, local_only=local_only)
    await history.remember(KEY, pins=["핀"])
    return history


@pytest.mark.parametrize("step", range(1, 6))
async def test_one_that_was_interrupted_anywhere_is_completed_by_the_same_call(step: int) -> None:
    store = Faulty()
    history = await filled(store, 4, local_only=True)
    store.fails_at = store.writes + step
    with pytest.raises(StoreUnavailable):
        await continued(history, KEY, "new")
    made = await continued(history, KEY, "new")
    again = await continued(history, KEY, "new")

    assert [turn.turn_id for turn in made.turns] == ["t0", "t1", "t2", "t3"]
    assert (made.standing.pins, made.local_only, again) == (("핀",), True, made)
    assert {turn.proposals for turn in made.turns} == {""}  # is confirmed where it was asked for


@pytest.mark.parametrize("step", range(1, 6))
async def test_an_erasure_meanwhile_leaves_nothing_of_it_in_the_new_one(step: int) -> None:
    store = Faulty()
    history = await filled(store, 4)
    store.erases_at = store.writes + step

    with pytest.raises(ConversationErased):
        await continued(history, KEY, "new")
    assert [one.turns for one in store.conversations.values()] == [(), ()]


async def test_of_many_turns_the_newest_go_over(tmp_path: Path) -> None:
    store = SqliteConversations.open(tmp_path / "history.sqlite3", HistoryBounds(max_turns=30))
    history = await filled(store, 40)
    made = await continued(history, KEY, "new")
    await store.close()

    assert [turn.turn_id for turn in made.turns] == [f"t{number}" for number in range(40 - CARRIED_TURNS, 40)]
