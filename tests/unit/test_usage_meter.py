"""What one answer took: every generation, cut ones exactly where the backend tells, failures of ours for nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

import pytest
from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.metered import Metered
from chatbot.core.usage.meter import Priced
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.errors import BackendUnavailable, EngineLost
from chatbot.domain.generation import (
    Backend,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Sampling,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.model import ModelInfo
from chatbot.domain.usage.prices import PriceTable

PRICES = PriceTable.parse(
    [
        {"model": "small", "from": "2026-01-01", "input": 10, "cached_input": 1, "output": 100},
        {"model": "local/office", "from": "2026-01-01", "input": 1, "output": 2},
    ]
)
REQUEST = GenerationRequest("r", Dialogue("", (), (), Message("user", "안녕하세요")), Sampling(), 0.0)
DONE = Finished(FinishReason.STOP, Usage(100, 20, 40), Timings())


@dataclass
class Script:
    """`TextGenerator` that says what it is told, and fails where that is an error."""

    events: Sequence[GenerationEvent | Exception]
    backend: Backend = Backend.OPENAI
    seen: list[GenerationRequest] = field(default_factory=list)

    def model(self) -> ModelInfo | None:
        return ModelInfo("small", "r1", "0" * 64, 8192, "")

    async def check(self, request: GenerationRequest) -> None:
        """All is well."""

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event


def metered(*events: GenerationEvent | Exception, backend: Backend = Backend.OPENAI) -> Metered:
    generator = Script(events, backend)
    priced = Priced("office", PRICES, lambda: date(2026, 11, 21))
    return Metered(generator, priced.meter(backend, generator.model()), Estimates())


async def hear(model: Metered, pieces: int = 100) -> None:
    """Listen to so many events, then leave."""
    async with aclosing(cast(Any, model.generate(REQUEST))) as events:
        async for _ in events:
            pieces -= 1
            if not pieces:
                return


async def test_generations_of_one_answer_are_added_and_each_is_priced_by_itself() -> None:
    model = metered(TextPiece("a"), DONE)

    await hear(model)
    await hear(model)

    meter = model.meter
    assert meter.usage == Usage(200, 40, 80)
    assert meter.micro_usd == 2 * (60 * 10 + 40 * 1 + 20 * 100)
    assert (meter.model, meter.revision, meter.priced_as, meter.cost_usd) == ("small", "r1", "small", "0.005280")
    assert not meter.is_estimated


async def test_an_answer_that_is_cut_is_exact_where_the_backend_told_its_prompt() -> None:
    model = metered(TextPiece("a", 2, Usage(100, 0, 40)), TextPiece("b", 3), TextPiece("c", 5), DONE)

    await hear(model, 2)

    assert model.meter.usage == Usage(100, 5, 40)
    assert model.meter.micro_usd == 60 * 10 + 40 * 1 + 5 * 100
    assert not model.meter.is_estimated


async def test_an_answer_that_is_cut_is_estimated_where_nobody_told_and_says_so() -> None:
    model = metered(TextPiece("a"), TextPiece("b"), DONE)

    await hear(model, 2)

    assert model.meter.usage.completion_tokens == 2
    assert model.meter.usage.prompt_tokens > 0
    assert model.meter.is_estimated


async def test_estimates_learn_from_prompts_that_were_counted() -> None:
    model = metered(TextPiece("a"), DONE)
    await hear(model)
    before = model.meter.usage

    await hear(model, 1)

    guessed = model.meter.usage.prompt_tokens - before.prompt_tokens
    assert abs(guessed - 100) <= 1 or guessed < 100, "a prompt of the same text"


async def test_a_backend_that_reports_nothing_is_not_believed() -> None:
    model = metered(TextPiece("a"), TextPiece("b"), Finished(FinishReason.STOP, Usage(0, 0), Timings()))

    await hear(model)

    assert model.meter.usage.completion_tokens == 2
    assert model.meter.micro_usd > 0
    assert model.meter.is_estimated


@pytest.mark.parametrize(
    ("backend", "failure", "completion"),
    [(Backend.OPENAI, BackendUnavailable("gone"), 2), (Backend.LLAMA, EngineLost(), 0)],
)
async def test_failures_of_ours_are_free_and_what_others_bill_is_not(
    backend: Backend, failure: Exception, completion: int
) -> None:
    model = metered(TextPiece("a"), TextPiece("b"), failure, backend=backend)

    with pytest.raises(type(failure)):
        await hear(model)
    model.meter.failed()

    assert model.meter.usage.completion_tokens == completion
    assert bool(model.meter.micro_usd) == bool(completion)


async def test_what_has_no_price_has_no_cost_and_says_so() -> None:
    generator = Script([TextPiece("a"), DONE])
    model = Metered(generator, Priced("office").meter(Backend.OPENAI, generator.model()), Estimates())

    await hear(model)

    assert (model.meter.usage, model.meter.cost_usd, model.meter.price) == (Usage(100, 20, 40), None, "")
