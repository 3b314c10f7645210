"""The first questions: asked through the gateway's port, as any client would, so that what is shown is what works."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx2

_TIMEOUT_SECONDS = 330.0  # the longest wait and the longest answer, as a gateway has it


@dataclass(frozen=True, slots=True)
class Question:
    """One request of the quick start."""

    service: str
    body: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `answer` is None where it was not 200."""

    question: Question
    status: int
    answer: str | None
    seconds: float


def _asked(hello: str, greeting: str, role: str) -> tuple[Question, ...]:
    told = {"character_name": "AI Assistant", "greeting": greeting, "context": role}
    return (
        Question("office", {"input_data": hello, "user_id": "test_user"}),
        Question("character", {"input_data": hello, **told, "user_id": "test_user"}),
    )


DEMO_LANGUAGE: Final = "ko"
"""What the demo model was trained on."""

FIRST_QUESTIONS: Final[Mapping[str, tuple[Question, ...]]] = {
    "ko": _asked("안녕하세요!", "안녕하세요! 반갑습니다.", "친근한 AI 어시스턴트"),
    "en": _asked("Hello! What can you do?", "Hello! Nice to meet you.", "A friendly AI assistant"),
    "ja": _asked("こんにちは！何ができますか？", "こんにちは！はじめまして。", "親しみやすいAIアシスタント"),
}
"""By language."""


def language_of(environment: Mapping[str, str]) -> str:
    """The language of whoever sits at the terminal (POSIX, base definitions, 8.2): ko, en or ja; English for others."""
    told = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    language = next(filter(None, told), "").partition("_")[0].lower()
    return language if language in FIRST_QUESTIONS else "en"


async def ask(question: Question, address: str) -> Reply:
    """Ask over HTTP.

    Args:
        question: What to ask whom.
        address: Of the gateway, `http://host:port`.

    Raises:
        httpx2.HTTPError: No answer came.
    """
    began = time.monotonic()
    async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        response = await client.post(f"{address}/{question.service}/Llama", json=question.body)
    answer = response.json() if response.status_code == 200 else None
    return Reply(question, response.status_code, answer, time.monotonic() - began)


def curl(question: Question, address: str) -> str:
    """The same question as a line for a shell. Holds no single quote but its own."""
    body = json.dumps(question.body, ensure_ascii=False)
    return f"curl -s {address}/{question.service}/Llama -H 'Content-Type: application/json' -d '{body}'"
