"""A note and pins beside a conversation, over a real socket: who may set them, what the model is told, when they go."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.core.limits.estimate import prompt_bytes
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import Dialogue
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import GenerationRequest
from chatbot.domain.memory.standing import MAX_NOTE_CHARACTERS, MAX_PIN_CHARACTERS, MAX_PINS
from chatbot.domain.model import ModelInfo
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Policies, Tenant
from parts.http_service import ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.stub_generator import StubGenerator

ME = {"x-user-id": "u"}
ENGLISH = {"accept-language": "en"}
NOTE, PINS = "/conversations/c/note", "/conversations/c/pins"


class NarrowGenerator(StubGenerator):
    """Takes prompts of so many bytes."""

    most_bytes = 1 << 30

    def model(self) -> ModelInfo | None:
        found = super().model()
        return replace(found, context_tokens=1_024) if found else None

    async def check(self, request: GenerationRequest) -> None:
        fixed = replace(request, dialogue=replace(request.dialogue, history=()))
        if prompt_bytes(fixed) > self.most_bytes:
            raise PromptTooLong("system", prompt_bytes(fixed), self.most_bytes)


def on_disk(folder: Path) -> bytes:
    """All that the store has written, pages that are free again included."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def ask(client: httpx.AsyncClient, text: str, path: str = "/Llama", **fields: Any) -> None:
    names = ("session_id", "message") if path == "/chat" else ("db_id", "input_data")
    answer = await client.post(path, json=dict(zip(names, ("c", text), strict=True)) | {"user_id": "u"} | fields)
    assert answer.status_code == 200, answer.text


def words(dialogue: Dialogue) -> Sequence[str]:
    """What the user says in a dialogue, the question last."""
    return [one.content for one in (*dialogue.history, dialogue.question) if one.role == "user"]


@pytest.mark.parametrize("path", ["/Llama", "/chat"])
async def test_note_and_pins_are_told_with_every_question_until_they_are_removed(path: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers=ME) as client:
        await ask(client, "하나", path)
        put = await client.put(PINS, json={"pins": ["고양이 이름은\u202e 나비다", "Ünlü"]})
        noted = await client.put(NOTE, json={"text": "Kurz antworten.", "depth": 1})
        for text in ("둘", "셋"):
            await ask(client, text, path)
        read = [(await client.get(one)).json() for one in (NOTE, PINS)]
        await client.put(PINS, json={"pins": []})
        await client.put(NOTE, json={"text": ""})
        await ask(client, "넷", path)

    before, second, third, after = [one.dialogue for one in service.generator.requests]
    assert (put.status_code, noted.status_code) == (422, 200), "a pin is one line that people can read"
    assert read == [{"text": "Kurz antworten.", "depth": 1}, {"pins": [], "told": 0}]
    assert [before.system, after.system] == [second.system] * 2
    assert words(second) == ["[Note for what follows: Kurz antworten.]\n\n하나", "둘"]
    assert words(third) == ["하나", "[Note for what follows: Kurz antworten.]\n\n둘", "셋"]
    assert words(after) == ["하나", "둘", "셋", "넷"]


async def test_pins_stand_behind_the_system_prompt_in_their_order(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers=ME) as client:
        await ask(client, "하나")
        told = await client.put(PINS, json={"pins": ["가", "나"]})
        await ask(client, "둘")
        turns = (await client.get("/conversations/c")).json()["turns"]

    first, second = [one.dialogue for one in service.generator.requests]
    assert told.json() == {"pins": ["가", "나"], "told": 2}
    assert second.system.startswith(first.system + "\n\n") and second.system.endswith("\n- 가\n- 나")
    assert [turn["question"] for turn in turns] == ["하나", "둘"]  # what is told is not what was said


@pytest.mark.parametrize("path", ["/Llama", "/chat"])
async def test_nothing_of_it_is_told_with_no_memory(path: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers=ME) as client:
        await ask(client, "하나", path)
        await client.put(PINS, json={"pins": ["canary"]})
        await client.put(NOTE, json={"text": "canary"})
        await ask(client, "둘", path, no_memory=True)
        await ask(client, "셋", path, store=False)

    told = [str(one.dialogue).count("canary") for one in service.generator.requests]
    assert told == [0, 0, 2]  # what was kept before is told where only this turn is not


async def test_they_are_their_users_alone_and_go_with_the_conversation(tmp_path: Path) -> None:
    other = {"x-user-id": "v"}
    async with running_service(tmp_path) as service, service.client() as client:
        await ask(client, "하나")
        for path, body in ((PINS, {"pins": ["canary"]}), (NOTE, {"text": "canary"})):
            assert (await client.put(path, json=body, headers=ME)).status_code == 200
            others = [await client.get(path, headers=other), await client.put(path, json=body, headers=other)]
            assert [one.json()["code"] for one in others] == ["conversation_not_found"] * 2
            assert (await client.get(path)).status_code == 422
        await client.delete("/conversations/c", headers=ME)
        gone = [await client.get(path, headers=ME) for path in (NOTE, PINS)]
        late = await client.put(PINS, json={"pins": ["canary"]}, headers=ME)
        await ask(client, "둘")
        fresh = [(await client.get(path, headers=ME)).json() for path in (NOTE, PINS)]

    assert [one.status_code for one in (*gone, late)] == [404, 404, 404]
    assert fresh == [{"text": "", "depth": 0}, {"pins": [], "told": 0}]
    assert b"canary" not in on_disk(tmp_path)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    (NOTE, {}, "text", "required"),
    (NOTE, {"text": "x" * (MAX_NOTE_CHARACTERS + 1)}, "text", "too_long"),
    (NOTE, {"text": "a\x00"}, "text", "control_characters"),
    (NOTE, {"text": "a", "depth": 101}, "depth", "too_large"),
    (NOTE, {"text": "a", "depth": -1}, "depth", "too_small"),
    (NOTE, {"text": "a", "depth": 1.5}, "depth", "not_integer"),
    (PINS, {"pins": "a"}, "pins", "not_list"),
    (PINS, {"pins": ["a"] * (MAX_PINS + 1)}, "pins", "too_many"),
    (PINS, {"pins": ["a", ""]}, "pins[1]", "too_short"),
    (PINS, {"pins": ["x" * (MAX_PIN_CHARACTERS + 1)]}, "pins[0]", "too_long"),
    (PINS, {"pins": ["a\nb"]}, "pins[0]", "not_printable"),
    (PINS, {"pins": [{"$gt": ""}]}, "pins[0]", "not_text"),
]


async def test_a_wrong_field_is_named_and_changes_nothing(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers=ME | ENGLISH) as client:
        await ask(client, "하나")
        await client.put(PINS, json={"pins": ["가" * MAX_PIN_CHARACTERS] * MAX_PINS})
        await client.put(NOTE, json={"text": "가" * MAX_NOTE_CHARACTERS, "depth": 100})
        answers = [await client.put(path, json=body) for path, body, _, _ in WRONG]
        note, pins = [(await client.get(path)).json() for path in (NOTE, PINS)]

    told = [(one.status_code, one.json()["field"], one.json()["problem"]) for one in answers]
    assert told == [(422, field, problem) for _, _, field, problem in WRONG]
    assert note == {"text": "가" * MAX_NOTE_CHARACTERS, "depth": 100}
    assert pins["pins"] == ["가" * MAX_PIN_CHARACTERS] * MAX_PINS and 0 < pins["told"] < MAX_PINS


@pytest.mark.parametrize(
    ("language", "said"), [("ko", "저장하지 않습니다"), ("en", "keeps nothing"), ("ja", "保存しません")]
)
async def test_a_tenant_that_keeps_nothing_keeps_no_note(language: str, said: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers=ME) as client:
        await ask(client, "하나")
    tenants = Policies([Tenant(name="default", privacy=Privacy(may_store=False))])
    options = ServiceOptions(tenants=tenants)
    async with running_service(tmp_path, options) as service, service.client(headers=ME) as client:
        answers = [
            await client.put(path, json=body, headers={"accept-language": language})
            for path, body in ((NOTE, {"text": "canary"}), (PINS, {"pins": ["canary"]}))
        ]

    assert [(one.status_code, one.json()["field"]) for one in answers] == [(422, "text"), (422, "pins")]
    assert all(said in one.json()["detail"] for one in answers)
    assert b"canary" not in on_disk(tmp_path)


async def test_what_does_not_fit_is_left_out_and_never_costs_the_answer(tmp_path: Path) -> None:
    generator = NarrowGenerator()
    options = ServiceOptions(generator=generator)
    async with running_service(tmp_path, options) as service, service.client(headers=ME) as client:
        await ask(client, "하나")
        told = (await client.put(PINS, json={"pins": ["가" * 50, "나" * 50, "다" * 50, "라" * 50]})).json()["told"]
        await client.put(NOTE, json={"text": "마" * 200})
        await ask(client, "둘")
        sizes = [prompt_bytes(replace(one, dialogue=replace(one.dialogue, history=()))) for one in generator.requests]
        for most in (sizes[1], sizes[1] - 1, sizes[0] + 10):
            generator.most_bytes = most
            await ask(client, "셋")

    assert told == 3  # a quarter of 1,024 tokens, two bytes each
    texts = [str(one.dialogue) for one in generator.requests[1:]]
    assert [("가가" in one, "다다" in one, "라라" in one, "마마" in one) for one in texts] == [
        (True, True, False, True),
        (True, True, False, True),
        (True, True, False, False),
        (False, False, False, False),
    ]


async def test_a_deep_note_stands_nearer_where_its_turn_may_be_dropped(tmp_path: Path) -> None:
    options = ServiceOptions(generator=NarrowGenerator())
    async with running_service(tmp_path, options) as service, service.client(headers=ME) as client:
        for number in range(6):
            await ask(client, f"{number}" * 40)
        await client.put(NOTE, json={"text": "짧게", "depth": 100})
        await ask(client, "질문")
        await client.put(NOTE, json={"text": "짧" * 400, "depth": 100})
        await ask(client, "질문")

    shown = [[word.startswith("[Note") for word in words(one.dialogue)] for one in options.generator.requests[6:]]
    assert [one.count(True) for one in shown] == [1, 1]
    assert 0 < shown[0].index(True) < 6
    assert shown[1].index(True) == len(shown[1]) - 1  # with the question


async def test_a_key_that_may_chat_sets_them_and_one_that_may_read_reads_them(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ME) as client:
        chats, reads = [await keyed.header(Rights(frozenset({one}))) for one in (Scope.CHAT, Scope.CONVERSATIONS_READ)]
        asked = {"input_data": "하나", "user_id": "u", "db_id": "c"}
        assert (await client.post("/Llama", json=asked, headers=chats)).status_code == 200
        codes = [
            (await client.request(method, path, json=body, headers=header)).status_code
            for header in (chats, reads)
            for method, path, body in (
                ("PUT", PINS, {"pins": ["가"]}),
                ("GET", PINS, None),
                ("PUT", NOTE, {"text": "x"}),
            )
        ]

    assert codes == [200, 403, 200, 403, 200, 403]
