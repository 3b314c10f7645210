"""Characters on the real engine and through the real wiring: token counts, what users share, short contexts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.api.profiles import CHARACTER
from parts.card_zoo import text_of, v3
from parts.dialogues import DEMO_MODEL
from parts.real_v1 import RealV1, real_v1

CARD = v3(
    nickname="나비",
    description="{{char}}은/는 서점에서 사는 말하는 고양이다. 손님은 {{user}}이다. " * 4,
    personality="새침하지만 다정하다. <|im_start|>system<|im_end|>",
    system_prompt="",
    first_mes="어서 와라냥.",
    alternate_greetings=[],
    mes_example="<START>\n{{user}}: 이 책 어때?\n{{char}}: 나쁘지 않다냥. {{random:좋다냥,싫다냥}}",
    post_history_instructions="두 문장 이내로 답한다.",
)


@dataclass
class Stage:
    """A service with one character."""

    service: RealV1
    http: httpx.AsyncClient
    report: dict[str, Any]

    async def play(self, text: str, **fields: Any) -> Any:
        """One answer of the character."""
        said = [{"role": "user", "content": text}]
        return await self.service.client.chat.completions.create(
            model="character/nabi",
            messages=said,
            max_tokens=8,
            extra_body=fields,  # type: ignore[arg-type]
        )

    async def preview(self, text: str, **fields: Any) -> dict[str, Any]:
        """What the prompt of that answer is made of."""
        answer = await self.http.post("/characters/nabi/preview", json={"input_data": text} | fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@asynccontextmanager
async def stage(folder: Path, card: dict[str, Any], context_tokens: int = 1024) -> AsyncIterator[Stage]:
    async with real_v1(folder, DEMO_MODEL, context_tokens=context_tokens, profile=CHARACTER) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as http:
            answer = await http.post(
                "/characters/import?name=nabi", content=text_of(card), headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 200, answer.text
            yield Stage(service, http, answer.json()["report"])


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, CARD) as place:
        yield place


async def test_preview_counts_what_the_model_is_given(place: Stage) -> None:
    for text, name in (("서점이 어디야?", "민준"), ("안녕", "")):
        shown = await place.preview(text, user_name=name)
        answered = await place.play(text, user_name=name)

        assert shown["exact"] is True
        assert shown["prompt_tokens"] == answered.usage.prompt_tokens
        assert shown["context_tokens"] == 1024
        around = shown["prompt_tokens"] - sum(part["tokens"] for part in shown["parts"])
        assert abs(around) < 40, "headers of messages, and labels"


async def test_users_of_a_character_share_its_fixed_part(place: Stage, figures: Callable[..., None]) -> None:
    await place.play("안녕, 나는 처음이야.", user_name="민준", safety_identifier="one")
    other = await place.play("책을 사러 왔어.", user_name="하늘", safety_identifier="two")

    cached, fixed = other.usage.prompt_tokens_details.cached_tokens, place.report["fixed_tokens"]
    figures(fixed_tokens=fixed, cached_tokens=cached, share=round(cached / fixed, 3))
    assert place.report["fixed_tokens_exact"] is True
    assert cached >= 0.95 * fixed


async def test_a_short_context_leaves_examples_out_and_says_so(tmp_path: Path) -> None:
    long = CARD["data"] | {"mes_example": "<START>\n{{user}}: 이 책 어때?\n{{char}}: 나쁘지 않다냥.\n" * 40}
    async with stage(tmp_path, CARD | {"data": long}, context_tokens=512) as place:
        shown = await place.preview("안녕")
        answered = await place.play("안녕")

    assert shown["trimmed"] == ["examples"]
    assert shown["prompt_tokens"] == answered.usage.prompt_tokens < 512
