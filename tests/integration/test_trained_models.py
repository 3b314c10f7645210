"""What random weights cannot show: the engine computes what trained models mean.

A vector of a real embedding model is the one that numpy computes of the same weights, and a small real chat model
answers what it knows through the real services, several at once.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chatbot.domain.generation import Sampling
from parts.demo_services import demo_services
from parts.dialogues import Spoken
from parts.embedding_models import serving, vectors
from parts.trained_models import Bert, trained

Figures = Callable[..., None]
TEXTS = (
    "The cat sits on the mat.",
    "How many days of annual leave do I get?",
    "Employees receive fifteen days of paid vacation per year.",
    "Kubernetes restarts unhealthy pods; its Deployments roll them out.",
    "Unforgettably antidisestablishmentarian, isn't it?",
)
LEAVE, VACATION = 1, 2
KNOWN = {
    "What is the capital of France?": "Paris",
    "What is the capital of Japan?": "Tokyo",
    "Which planet is known as the red planet?": "Mars",
    "What color is the sky on a clear day?": "blue",
    "In which country are the pyramids of Giza?": "Egypt",
    "What is the chemical symbol of water?": "H2O",
    "How many days are in a week?": "7|seven",
    "What is the opposite of hot?": "cold",
}


async def test_vectors_are_those_that_numpy_computes_of_the_same_weights(figures: Figures) -> None:
    path = trained("minilm")
    bert = Bert(path)
    async with serving(path) as source:
        made = await vectors(source, *TEXTS)

    cosines = (made * np.stack([bert.vector(text) for text in TEXTS])).sum(axis=1)
    alike = made @ made.T - np.eye(len(TEXTS))
    figures(least_cosine=round(float(cosines.min()), 6), leave_and_vacation=round(float(alike[LEAVE, VACATION]), 3))
    assert cosines.min() > 0.9999
    assert alike[LEAVE].argmax() == VACATION, "no word of the one is in the other"


@pytest.mark.timeout(300)
async def test_a_small_real_model_answers_what_it_knows(tmp_path: Path, figures: Figures) -> None:
    asked = [Spoken("office", "en", {}, (question,), expected) for question, expected in KNOWN.items()]
    async with demo_services(tmp_path, Sampling(temperature=0.0, max_tokens=48), trained("smollm2")) as services:
        answers = await services.last_answers(asked)

    right = [
        any(word in answer for word in spoken.expected.split("|"))
        for spoken, answer in zip(asked, answers, strict=True)
    ]
    figures(
        asked=len(asked),
        right=sum(right),
        wrong=[a for a, is_right in zip(answers, right, strict=True) if not is_right],
    )
    assert sum(right) >= len(asked) * 3 / 4
