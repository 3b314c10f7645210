"""What is asked of the OpenAI backend, and its answer put together."""

import time

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import Finished, GenerationRequest, Sampling, TextPiece
from chatbot.llm.openai import OpenAIGenerator

KEY = "sk-canary-4711"
CANARY = "주민번호 900101-1234567"


def request(seconds: float = 30, pairs: int = 0, may_shorten: bool = True, **sampling: object) -> GenerationRequest:
    history = tuple(m for n in range(pairs) for m in (Message("user", f"q{n}"), Message("assistant", f"a{n}")))
    opening = (Message("assistant", "어서 오세요"),)
    dialogue = Dialogue("Be kind.", opening, history, Message("user", CANARY), may_shorten)
    return GenerationRequest("r", dialogue, Sampling(**sampling), time.monotonic() + seconds)  # type: ignore[arg-type]


async def answer(generator: OpenAIGenerator, asked: GenerationRequest | None = None) -> tuple[str, Finished]:
    events = [event async for event in generator.generate(asked or request())]
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextPiece)), events[-1]
