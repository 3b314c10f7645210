"""Two `chatbot-office` processes on one store: simultaneous turns, kill -9 and erasures, checked against the store."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from chatbot.domain.chat import Caller, ConversationKey, Turn
from parts.history_check import Place, Sent, complaints
from parts.office_processes import Nursery, OfficeProcess, nursery, settings_for
from parts.openai_stub import OpenAIStub, Talk, delta, openai_stub
from parts.store_place import StorePlace

PAIRS_PER_CONVERSATION = 40
PATIENCE_SECONDS = 120.0

pytestmark = [pytest.mark.scale, pytest.mark.timeout(3600)]


class EchoModel:
    """Answers with the question after a random short while; sees whether a dialogue is of one conversation."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.strangers: list[str] = []
        self.begun: dict[str, asyncio.Event] = {}

    async def answer(self, talk: Talk) -> None:
        said = [message["content"] for message in talk.asked.body["messages"] if message["role"] != "system"]
        question = said[-1]
        self.begun.setdefault(question, asyncio.Event()).set()
        conversation = question.rpartition("/")[0]
        self.strangers += [text for text in said if conversation not in text]
        await asyncio.sleep(self._random.uniform(0, 0.06))
        await talk.open_stream()
        await talk.event(delta(f"to {question} after {len(said)}"))
        await talk.event(delta("", "stop"))
        await talk.chunk(b"data: [DONE]\n\n")
        await talk.send(b"0\r\n\r\n")


@dataclass
class Processes:
    """Two that serve, and one that starts meanwhile, so that a killed one is replaced soon."""

    start: Callable[[], OfficeProcess]
    serving: list[OfficeProcess] = field(default_factory=list)
    spare: OfficeProcess | None = None
    kills: int = 0

    async def begin(self) -> None:
        self.serving = [self.start(), self.start()]
        await asyncio.gather(*(one.ready() for one in self.serving))

    async def kill_one(self, index: int) -> None:
        victim = self.serving[index]
        await victim.kill()
        self.kills += 1
        next_one = self.spare or self.start()
        self.spare = None
        await next_one.ready()
        self.serving[index] = next_one
        await victim.close()

    def prepare(self) -> None:
        self.spare = self.spare or self.start()

    async def end(self) -> None:
        for one in [*self.serving, *([self.spare] if self.spare else [])]:
            await one.close()


@pytest.fixture
def model() -> EchoModel:
    return EchoModel(seed=3)


@pytest.fixture
async def stub(model: EchoModel) -> AsyncIterator[OpenAIStub]:
    async with openai_stub() as stub:
        stub.then(model.answer)
        yield stub


@pytest.fixture(scope="module")
def offices() -> Iterator[Nursery]:
    with nursery() as offices:
        yield offices


@pytest.fixture
async def processes(offices: Nursery, place: StorePlace, tmp_path: Path, stub: OpenAIStub) -> AsyncIterator[Processes]:
    settings = settings_for(place, tmp_path, stub.base_url)
    processes = Processes(lambda: offices.start(tmp_path, settings))
    try:
        await processes.begin()
        yield processes
    finally:
        await processes.end()


def body(sent: Sent) -> dict[str, object]:
    user, db_id = sent.place
    return {"input_data": sent.question, "user_id": user, "db_id": db_id}


async def ask_once(process: OfficeProcess, sent: Sent) -> str:
    """One try: its status, `cut` where the process died under it, `away` where nobody listened."""
    try:
        response = await process.client.post("/OpenAI", json=body(sent), headers={"Idempotency-Key": sent.key})
    except httpx.ConnectError:
        return "away"
    except httpx.TransportError:
        return "cut"
    if response.status_code == 200:
        sent.answers.append(response.json())
    return str(response.status_code)


class Talkers:
    """Users who ask in pairs at both processes at once, and ask again, under the same key, until they are answered."""

    def __init__(self, processes: Processes, seed: int) -> None:
        self._processes = processes
        self._random = random.Random(seed)
        self.sent: list[Sent] = []
        self.statuses: Counter[str] = Counter()
        self.pairs = 0

    async def talk(self, user: str, goes_on: Callable[[], bool]) -> None:
        for number in itertools.count():
            if not goes_on():
                return
            place = (user, f"chat{number // PAIRS_PER_CONVERSATION}")
            pair = [self._new(place, f"{number}-{side}") for side in (0, 1)]
            await asyncio.gather(*(self._ask(one, side) for side, one in enumerate(pair)))
            self.pairs += 1

    def _new(self, place: Place, key: str) -> Sent:
        sent = Sent(place, key, f"{place[0]}/{place[1]}/{key}")
        self.sent.append(sent)
        return sent

    async def _ask(self, sent: Sent, side: int) -> None:
        gives_up = self._random.random() < 0.2
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            status = await ask_once(self._processes.serving[side], sent)
            self.statuses[status] += 1
            if status == "200" or gives_up:
                return
            side = self._random.randrange(2)
            await asyncio.sleep(0.05)
        raise AssertionError(f"no answer in {PATIENCE_SECONDS} s: {self.statuses}")


async def stored_turns(place: StorePlace, places: set[Place]) -> dict[Place, tuple[Turn, ...]]:
    store = place.open()
    try:
        keys = {each: ConversationKey("office", Caller("", each[0]), each[1]) for each in places}
        return {each: (await store.load(key)).turns for each, key in keys.items()}
    finally:
        await store.close()


async def test_killed_processes_lose_and_repeat_no_turn(
    place: StorePlace,
    processes: Processes,
    model: EchoModel,
    scale: Callable[[int, int], int],
    figures: Callable[..., None],
) -> None:
    pairs, kills = scale(20, 1000), scale(2, 200)
    talkers = Talkers(processes, seed=7)
    moments = random.Random(11)

    def goes_on() -> bool:
        return talkers.pairs < pairs or processes.kills < kills

    async def kill() -> None:
        while processes.kills < kills:
            processes.prepare()
            await asyncio.sleep(moments.uniform(0.0, 0.5))
            await processes.kill_one(moments.randrange(2))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kill())
        for user in ("user-1", "user-2"):
            tasks.create_task(talkers.talk(user, goes_on))

    stored = await stored_turns(place, {one.place for one in talkers.sent})
    assert complaints(talkers.sent, stored) == []
    assert model.strangers == []
    assert set(talkers.statuses) <= {"200", "503", "cut", "away"}
    figures(
        pairs=talkers.pairs,
        kills=processes.kills,
        tries=dict(talkers.statuses),
        acknowledged=sum(bool(one.answers) for one in talkers.sent),
        stored=sum(map(len, stored.values())),
        lost_twice_foreign=0,
    )


async def test_erased_conversation_never_comes_back(
    place: StorePlace,
    processes: Processes,
    model: EchoModel,
    scale: Callable[[int, int], int],
    figures: Callable[..., None],
) -> None:
    rounds = scale(10, 200)
    moments = random.Random(5)
    statuses: Counter[str] = Counter()

    for number in range(rounds):
        user, db_id = "user/ 한", f"chat{number}"
        first, other = processes.serving[number % 2], processes.serving[1 - number % 2]
        sent = Sent((user, db_id), "first", f"{user}/{db_id}/first")
        begun = model.begun.setdefault(sent.question, asyncio.Event())
        running = asyncio.create_task(ask_once(first, sent))
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        await asyncio.sleep(moments.uniform(0, 0.06))
        erased = await other.client.delete(f"/conversations/{db_id}", headers={"X-User-ID": quote(user, safe="")})
        statuses[await running] += 1
        assert erased.status_code == 204

    places = {("user/ 한", f"chat{number}") for number in range(rounds)}
    assert {each for each, turns in (await stored_turns(place, places)).items() if turns} == set()
    assert set(statuses) <= {"200", "409"}
    figures(erasures=rounds, refused_409=statuses["409"], stored_before=statuses["200"], resurrected=0)
