"""Characters' rules over HTTP: what a client sees of a model that forgets them, on every endpoint, streaming or not."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.adapters.characters.files import BoundedCardFiles
from chatbot.adapters.characters.sqlite import SqliteCharacters
from chatbot.api.profiles import CHARACTER
from chatbot.core.characters.book import CharacterBook
from chatbot.core.style.checks import Rules, broken
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, SentenceSuffix
from parts.http_service import Service, ServiceOptions, running_service
from parts.wayward_model import RIGHT, WRONG, WaywardModel

STYLE = {
    "language": "ko",
    "sentence_suffix": {"any": ["냥", "다냥"], "min_share": 0.8},
    "max_sentences": 3,
    "max_chars": 80,
    "forbid": ["AI 언어 모델"],
}
NABI = {"display_name": "나비", "description": "말하는 고양이다.", "style": STYLE}
RULES = Rules(
    CharacterStyle("ko", SentenceSuffix(("냥", "다냥"), 0.8), 3, 80, ("AI 언어 모델",)),
    CharacterRepair(),
    "나비",
    "사용자",
)
SPOKEN = "".join(RIGHT)


class Place:
    """A service with one character, whose model forgets."""

    def __init__(self, service: Service, model: WaywardModel) -> None:
        self.service = service
        self.model = model
        self.client = service.client(headers={"Accept-Language": "en"})

    async def whole(self, text: str, path: str = "/Llama", **fields: Any) -> httpx.Response:
        """One answer in one piece."""
        answer = await self.client.post(path, json=self._body(path, text) | fields)
        assert answer.status_code == 200, answer.text
        return answer

    async def stream(self, text: str, path: str = "/Llama", **fields: Any) -> list[tuple[str, dict[str, Any]]]:
        """The events of one answer."""
        answer = await self.client.post(
            path, json=self._body(path, text) | fields, headers={"Accept": "text/event-stream"}
        )
        frames = [frame.split("\n") for frame in answer.text.strip().split("\n\n")]
        return [
            (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
            for name, data in (frame for frame in frames if frame[0].startswith("event: "))
        ]

    async def count(self, name: str, **labels: str) -> float:
        """A counter of the service."""
        labels = {"service": "character", **labels}
        return self.service.meters.registry.get_sample_value(name, labels) or 0.0

    def _body(self, path: str, text: str) -> dict[str, Any]:
        named = {"character_name": "nabi", "greeting": "", "context": "", "user_id": "u"}
        return {("message" if path == "/chat" else "input_data"): text} | named


def text_of(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(data["text"] for name, data in events if name == "token")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = SqliteCharacters(tmp_path / "characters.sqlite3")
    characters = CharacterBook(store, BoundedCardFiles(), most=20, file_bytes=1 << 20)
    model = WaywardModel()
    options = ServiceOptions(profile=CHARACTER, characters=characters, generator=model)
    async with running_service(tmp_path, options) as service:
        place = Place(service, model)
        async with place.client:
            kept = await place.client.put("/characters/nabi", json=NABI)
            assert kept.status_code == 200, kept.text
            yield place
    await characters.close()


async def test_an_answer_keeps_the_rules_whatever_the_model_does(place: Place) -> None:
    for asked, wrong in enumerate(WRONG, start=1):
        plain = await place.whole(wrong)
        streamed = await place.stream(wrong)
        session = (await place.whole(wrong, "/chat")).json()

        for text in (plain.json(), text_of(streamed), session["response"]):
            assert broken(text, RULES) == (), wrong
            assert text == text.strip() != "", wrong
        assert "X-Style-Violations" not in plain.headers
        assert streamed[-1][0] == "done"
        assert streamed[-1][1]["style_violations"] == session["style_violations"] == []
        assert len(place.model.requests) == 3 * asked + place.model.retries


async def test_only_what_no_edit_mends_is_made_again(place: Place) -> None:
    retried = []
    for wrong in WRONG:
        before = place.model.retries
        await place.whole(wrong)
        retried += [wrong] * (place.model.retries - before)

    assert retried == ["language", "chinese", "first_forbidden"]


async def test_what_is_stored_and_told_is_what_was_shown(place: Place) -> None:
    for wrong in ("suffix", "language"):
        events = await place.stream(wrong, db_id=wrong)

        assert events[-1][1]["history_saved"] is True
        told = await place.client.get(f"/conversations/{wrong}", headers={"X-User-ID": "u"})
        (turn,) = told.json()["turns"]
        assert turn["answer"] == text_of(events)


async def test_a_conversation_goes_on_with_what_was_shown(place: Place) -> None:
    await place.whole("language", db_id="d")
    await place.whole("right", db_id="d")

    history = place.model.requests[-1].dialogue.history
    assert [message.content for message in history] == ["language", SPOKEN]


async def test_a_discarded_generation_is_counted_and_not_billed(place: Place) -> None:
    events = await place.stream("language")

    usage = events[-1][1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, len(RIGHT))
    assert place.model.stopped, "the first generation was stopped, not waited for"
    assert await place.count("chatbot_persona_repairs_total", step="retry") == 1
    assert await place.count("chatbot_persona_checks_total", check="language", outcome="repaired") == 1
    extra = await place.count("chatbot_persona_extra_tokens_total")
    assert 0 < await place.count("chatbot_persona_held_seconds_count") <= 1
    made = await place.count("chatbot_generation_tokens_total")
    assert extra > 0
    assert made > len(RIGHT)


async def test_an_answer_that_stays_wrong_says_so_everywhere(place: Place) -> None:
    place.model.stubborn = 1

    plain = await place.whole("language")
    session = (await place.whole("language", "/chat")).json()
    streamed = await place.stream("language")
    completion = (await place.client.post("/v1/chat/completions", json=_v1("language"))).json()

    assert plain.headers["X-Style-Violations"] == "language"
    assert session["style_violations"] == streamed[-1][1]["style_violations"] == ["language"]
    assert completion["style_violations"] == ["language"]
    assert await place.count("chatbot_persona_repairs_total", step="accept") == 4
    assert len(place.model.requests) == 8, "never a third generation"


def _v1(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "character/nabi", "messages": [{"role": "user", "content": text}]} | fields


async def test_any_openai_client_gets_answers_that_keep_the_rules_and_their_segments(place: Place) -> None:
    client = openai.AsyncOpenAI(base_url=f"{place.service.url}/v1", api_key="none", max_retries=0)
    said: Any = [{"role": "user", "content": "suffix"}]
    speech: Any = {"speech": {"max_chars": 20}}

    whole = await client.chat.completions.create(model="character/nabi", messages=said, extra_body=speech)
    stream = await client.chat.completions.create(model="character/nabi", messages=said, stream=True, extra_body=speech)
    chunks = [chunk async for chunk in stream]
    await client.close()

    wanted = ["어서 와라냥.", "오늘은 새 책이 들어왔다냥!"]
    assert whole.choices[0].message.content == SPOKEN
    assert whole.model_extra is not None
    assert whole.model_extra["segments"] == wanted
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SPOKEN
    told = [extra["speech"] for chunk in chunks if (extra := chunk.model_extra) and "speech" in extra]
    assert [one["text"] for one in told] == wanted
    assert [one["last"] for one in told] == [False, True]
    assert (chunks[-1].model_extra or {})["segments"] == wanted


async def test_json_that_was_asked_for_is_never_edited(place: Place) -> None:
    place.model.wrongs = {"json": ('{"a": ', '"Hello there, my friend"}')}

    answer = await place.client.post("/v1/chat/completions", json=_v1("json", response_format={"type": "json_object"}))

    assert answer.json()["choices"][0]["message"]["content"] == '{"a": "Hello there, my friend"}'
    assert "style_violations" not in answer.json()


async def test_a_character_without_rules_pays_nothing(place: Place) -> None:
    await place.client.put("/characters/nabi", json=NABI | {"style": {}})

    events = await place.stream("language")

    assert text_of(events) == "".join(WRONG["language"])
    assert "style_violations" not in events[-1][1]
    assert len(place.model.requests) == 1


async def test_segments_come_with_their_sentence_and_the_last_one_says_so(place: Place) -> None:
    events = await place.stream("right", speech={"max_chars": 20})

    names = [name for name, _ in events if name in ("token", "speech", "done")]
    assert names.index("speech") < names.index("done") == len(names) - 1
    spoken = [data for name, data in events if name == "speech"]
    assert [(one["index"], one["text"], one["last"]) for one in spoken] == [
        (0, "어서 와라냥.", False),
        (1, "오늘은 새 책이 들어왔다냥!", True),
    ]
    assert events[-1][1]["segments"] == ["어서 와라냥.", "오늘은 새 책이 들어왔다냥!"]


async def test_segments_of_a_whole_answer_are_beside_its_text(place: Place) -> None:
    plain = (await place.whole("right", speech={})).json()
    session = (await place.whole("right", "/chat", speech={"markup": "ssml"})).json()

    assert plain == {"text": SPOKEN, "segments": ["어서 와라냥.", "오늘은 새 책이 들어왔다냥!"]}
    assert session["segments"][0] == "<speak>어서 와라냥.</speak>"
    assert (await place.whole("right")).json() == SPOKEN
    assert "segments" not in (await place.whole("right", "/chat")).json()


async def test_a_character_can_be_cut_for_a_voice_by_itself(place: Place) -> None:
    await place.client.put("/characters/nabi", json=NABI | {"speech": {"max_chars": 8, "unit": "codepoint"}})

    events = await place.stream("right")

    assert [data["text"] for name, data in events if name == "speech"] == [
        "어서 와라냥.",
        "오늘은 새 책이",
        "들어왔다냥!",
    ]
    assert (await place.whole("right")).json() == SPOKEN, "who did not ask gets the bare text"


async def test_speech_that_cannot_be_is_refused_by_field(place: Place) -> None:
    refused: list[tuple[Any, str]] = [
        ({"max_chars": 7}, "speech.max_chars"),
        ({"max_chars": 2_001}, "speech.max_chars"),
        ({"unit": "word"}, "speech.unit"),
        ({"markup": "html"}, "speech.markup"),
        ("yes", "speech"),
    ]
    for speech, field in refused:
        answer = await place.client.post("/chat", json={"message": "right", "speech": speech})

        assert answer.status_code == 422
        assert answer.json()["field"] == field


async def test_rules_survive_put_read_export_and_import(place: Place) -> None:
    fields = NABI | {"repair": {"mode": "edit", "hold_back_chars": 20}, "speech": {"max_chars": 60}}
    kept = (await place.client.put("/characters/nabi", json=fields)).json()

    for shape in ("json", "v2", "v3", "png"):
        card = (await place.client.get(f"/characters/nabi/export?format={shape}")).content
        await place.client.post("/characters/import", files={"file": ("card", card)}, data={"name": "copy"})
        copy = (await place.client.get("/characters/copy")).json()
        assert copy["revision"] == kept["revision"]
        assert copy["character"] == kept["character"]
    assert kept["character"]["style"] == STYLE
    assert kept["character"]["repair"] == fields["repair"]
    assert kept["character"]["speech"] == {"max_chars": 60, "unit": "grapheme", "markup": "strip"}


async def test_a_model_that_forgets_keeps_its_rules_nearly_always(
    place: Place, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    place.model.stubborn = 40
    answers, generations = scale(4, 100) * len(WRONG), 0
    violated: Counter[str] = Counter()
    for number in range(answers):
        wrong = [*WRONG][number % len(WRONG)]
        before = len(place.model.requests)
        events = await place.stream(f"{wrong} {number}")
        took = len(place.model.requests) - before
        assert took <= 2
        generations += took
        violated.update(broken(text_of(events), RULES))

    figures(
        answers=answers,
        violated_share=round(sum(violated.values()) / answers, 4),
        extra_generations_share=round((generations - answers) / answers, 3),
    )
    assert violated["language"] <= answers // 100 + place.model.retries // place.model.stubborn
    assert violated["suffix"] == violated["sentences"] == violated["characters"] == 0
    assert (
        generations - answers
        == place.model.retries
        == sum(
            1
            for number in range(answers)
            if [*WRONG][number % len(WRONG)] in ("language", "chinese", "first_forbidden")
        )
    )
