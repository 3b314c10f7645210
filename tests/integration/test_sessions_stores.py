"""Sessions on every store: users who name their sessions alike never meet, and an erased session stays erased."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from chatbot.domain.generation import GenerationEvent, GenerationRequest
from chatbot.domain.ports import ConversationStore
from parts.http_service import ServiceOptions, running_service
from parts.store_place import StorePlace
from parts.stub_generator import StubGenerator
from parts.waiting import until

NAMES = ("s", "S", "s.1", "test-uuid")


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[ConversationStore]:
    store = place.open()
    yield store
    await store.close()


class HeldGenerator(StubGenerator):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = False
        self.go_on = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.is_held = True
        await self.go_on.wait()
        async for event in super().generate(request):
            yield event


def header(user: str) -> dict[str, str]:
    return {"x-user-id": user}


async def questions(client: httpx.AsyncClient, user: str, session_id: str) -> list[str]:
    answer = await client.get(f"/chat/{session_id}/history", headers=header(user))
    return [turn["question"] for turn in answer.json().get("turns", [])]


async def test_users_who_name_their_sessions_alike_never_meet(
    tmp_path: Path, store: ConversationStore, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    users = [f"user{number}" for number in range(scale(8, 50))]
    rng = random.Random(8)
    sent = [(user, name, f"{user} {name} {n}") for user in users for name in NAMES for n in range(3)]
    rng.shuffle(sent)
    options = ServiceOptions(store=store, slots=16)
    async with running_service(tmp_path, options) as service, service.client() as client:
        at_once = asyncio.Semaphore(24)

        async def send(user: str, name: str, message: str) -> int:
            async with at_once:
                body = {"message": message, "user_id": user, "session_id": name}
                return (await client.post("/chat", json=body)).status_code

        statuses = await asyncio.gather(*(send(*one) for one in sent))
        read = {(user, name): await questions(client, user, name) for user in users for name in NAMES}

    assert set(statuses) == {200}
    for (user, name), told in read.items():
        assert sorted(told) == sorted(message for u, n, message in sent if (u, n) == (user, name))
    asked = service.generator.requests
    foreign = [
        request
        for request in asked
        for message in request.dialogue.history
        if message.role == "user" and message.content[:-2] != request.dialogue.question.content[:-2]
    ]
    assert len(asked) == len(sent)
    assert foreign == []
    figures(messages=len(sent), sessions=len(read), foreign_turns=len(foreign))


async def test_a_session_erased_beside_its_answer_stays_erased(tmp_path: Path, store: ConversationStore) -> None:
    generator = HeldGenerator()
    options = ServiceOptions(generator=generator, store=store)
    body = {"message": "first", "user_id": "u", "session_id": "s"}
    async with running_service(tmp_path, options) as service, service.client() as client:
        answering = asyncio.create_task(client.post("/chat", json=body))
        await until(lambda: generator.is_held)
        erased = await client.delete("/chat/s/history", headers=header("u"))
        generator.go_on.set()
        answer = await answering
        left = await client.get("/chat/s/history", headers=header("u"))

    assert (erased.status_code, left.status_code) == (204, 404)
    assert (answer.status_code, answer.json()["code"], answer.json()["success"]) == (409, "conversation_erased", False)
