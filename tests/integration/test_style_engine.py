"""Rules of style on the real engine and the demo model: what they cost, and whether they hold."""

import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.api.profiles import CHARACTER
from chatbot.core.style.checks import Rules, broken
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, SentenceSuffix
from parts.dialogues import DEMO_MODEL
from parts.real_v1 import real_v1

QUESTIONS = ("안녕하세요!", "이름이 뭐예요?", "오늘 기분이 어때요?", "고마워요", "잘 자요", "무엇을 좋아해요?")
STYLE = CharacterStyle("ko", SentenceSuffix(("냥",), 0.8), 2, 120, ("AI 언어 모델",))
RULES = Rules(STYLE, CharacterRepair(), "나비", "사용자")
NABI: dict[str, Any] = {
    "display_name": "나비",
    "description": "친근한 고양이다.",
    "greetings": ["안녕하세요! 반갑습니다."],
    "sampling": {"temperature": 0.3, "max_tokens": 60},
}
FIELDS: dict[str, Any] = {
    "language": "ko",
    "sentence_suffix": {"any": ["냥"], "min_share": 0.8},
    "max_sentences": 2,
    "max_chars": 120,
    "forbid": ["AI 언어 모델"],
}
BODY = {"greeting": "", "context": "", "user_id": "u"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with real_v1(tmp_path, DEMO_MODEL, profile=CHARACTER) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:
            for name, style in (("free", {}), ("nabi", FIELDS), ("english", {"language": "en"})):
                kept = await client.put(f"/characters/{name}", json=NABI | {"style": style})
                assert kept.status_code == 200, kept.text
            yield client


async def streamed(http: httpx.AsyncClient, name: str, question: str) -> tuple[str, float, dict[str, Any]]:
    """The text, when its first piece came, and how it ended."""
    text, first_seconds, done = "", 0.0, {}
    began = time.perf_counter()
    asked = BODY | {"character_name": name, "input_data": question}
    async with http.stream("POST", "/Llama", json=asked, headers={"Accept": "text/event-stream"}) as answer:
        event = ""
        async for line in answer.aiter_lines():
            event = line.removeprefix("event: ") if line.startswith("event: ") else event
            if not line.startswith("data: "):
                continue
            data = json.loads(line.removeprefix("data: "))
            if event == "token":
                text += data["text"]
                first_seconds = first_seconds or time.perf_counter() - began
            if event == "done":
                done = data
    return text, first_seconds, done


async def test_the_demo_model_keeps_rules_that_it_was_never_told_of(
    http: httpx.AsyncClient, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    violated, firsts, free_firsts = [], [], []
    asked = QUESTIONS * scale(1, 20)
    for question in asked:
        text, first, done = await streamed(http, "nabi", question)
        violated += done["style_violations"]
        assert tuple(done["style_violations"]) == broken(text, RULES)
        firsts.append(first)
        free_firsts.append((await streamed(http, "free", question))[1])

    figures(
        answers=len(asked),
        violated=violated,
        first_text_seconds=round(statistics.median(firsts), 4),
        first_text_seconds_without_rules=round(statistics.median(free_firsts), 4),
    )
    assert not {"suffix", "sentences", "characters", "forbidden", "markers"} & set(violated)


async def test_a_second_generation_finds_the_prompt_of_the_first(http: httpx.AsyncClient) -> None:
    await streamed(http, "free", "안녕하세요!")

    text, _, done = await streamed(http, "english", "안녕하세요!")

    usage = done["usage"]
    assert text
    assert done["style_violations"] in ([], ["language"])
    assert usage["cached_tokens"] >= usage["prompt_tokens"] // 2, "the reminder stands behind what is computed already"
