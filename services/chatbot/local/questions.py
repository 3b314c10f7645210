"""The first questions: asked through the gateway's port, as any client would, so that what is shown is what works."""

import json
import time
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


QUESTIONS: Final = (
    Question("office", {"input_data": "안녕하세요!", "user_id": "test_user"}),
    Question(
        "character",
        {
            "input_data": "안녕하세요!",
            "character_name": "AI Assistant",
            "greeting": "안녕하세요! 반갑습니다.",
            "context": "친근한 AI 어시스턴트",
            "user_id": "test_user",
        },
    ),
)


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
