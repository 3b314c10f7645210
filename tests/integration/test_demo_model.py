"""What the demo model says through the real engine, the real prompt files and a real store: does meaning survive?

Each skill is asked with names and cities that its training never showed, and each has a control: without what the
answer must come from (the history, the persona), the same questions must go wrong.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from chatbot.domain.generation import Sampling
from parts.demo_services import DemoServices, demo_services
from parts.dialogues import (
    DEMO_MODEL,
    KNOWN,
    Spoken,
    language,
    language_of,
    persona,
    recall,
    with_another_persona,
)

SEED = 20261121
GREEDY = Sampling(temperature=0.0)
MOST_BYTES = 5_000_000
WRONG_WITHOUT = 0.8  # share of the answers of a control run that must be wrong

pytestmark = pytest.mark.scale
Scale = Callable[[int, int], int]
Figures = Callable[..., None]


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[DemoServices]:
    async with demo_services(tmp_path, GREEDY) as services:
        yield services


def right_share(dialogues: list[Spoken], answers: list[str]) -> float:
    return sum(spoken.expected in answer for spoken, answer in zip(dialogues, answers, strict=True)) / len(dialogues)


async def test_answers_chosen_dialogues(services: DemoServices) -> None:
    answers = await services.last_answers(KNOWN)

    wrong = [(s.questions[-1], a) for s, a in zip(KNOWN, answers, strict=True) if s.expected not in a]
    assert wrong == []


async def test_recalls_what_was_told(services: DemoServices, scale: Scale, figures: Figures) -> None:
    dialogues = recall(scale(12, 150), SEED)

    with_history = right_share(dialogues, await services.last_answers(dialogues))
    without = right_share(dialogues, await services.last_answers(dialogues, with_history=False))

    figures(dialogues=len(dialogues), right=f"{with_history:.1%}", right_without_history=f"{without:.1%}")
    assert with_history >= 0.8
    assert 1 - without >= WRONG_WITHOUT


async def test_keeps_the_persona(services: DemoServices, scale: Scale, figures: Figures) -> None:
    dialogues = persona(scale(12, 150), SEED)

    own = right_share(dialogues, await services.last_answers(dialogues))
    others = [with_another_persona(spoken) for spoken in dialogues]
    another = right_share(dialogues, await services.last_answers(others))

    figures(dialogues=len(dialogues), right=f"{own:.1%}", right_with_another_persona=f"{another:.1%}")
    assert own >= 0.8
    assert 1 - another >= WRONG_WITHOUT


async def test_answers_in_the_users_language(services: DemoServices, scale: Scale, figures: Figures) -> None:
    dialogues = language(scale(12, 150), SEED)

    answers = await services.last_answers(dialogues)

    same = [language_of(answer) == spoken.language for spoken, answer in zip(dialogues, answers, strict=True)]
    figures(dialogues=len(dialogues), right=f"{sum(same) / len(same):.1%}")
    assert sum(same) / len(same) >= 0.9


def test_demo_model_is_the_documented_one() -> None:
    documented = re.search(r"sha256 `([0-9a-f]{64})`", (DEMO_MODEL.parent / "README.md").read_text())

    assert documented is not None
    assert hashlib.sha256(DEMO_MODEL.read_bytes()).hexdigest() == documented[1]
    assert DEMO_MODEL.stat().st_size <= MOST_BYTES
