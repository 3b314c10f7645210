"""The fit of the step time: predicts, sizes chunks, and shrugs off a lone outlier."""

import random

from chatbot.llm.engine.batching.steps.step_model import StepModel


def seconds(outputs: int, prompt_rows: int, cells: int) -> float:
    return 0.010 + 0.002 * outputs + 0.001 * prompt_rows + 1e-6 * cells


def fitted(target_seconds: float = 0.1, steps: int = 300) -> StepModel:
    rng = random.Random(5)
    model = StepModel(target_seconds)
    for _ in range(steps):
        outputs, prompt_rows, cells = rng.randrange(9), rng.choice((0, 0, 64, 160)), rng.randrange(20_000)
        model.observe(outputs, prompt_rows, cells, seconds(outputs, prompt_rows, cells) * rng.uniform(0.95, 1.05))
    return model


def test_predicts_what_it_saw() -> None:
    model = fitted()

    for outputs, prompt_rows, cells in ((1, 0, 100), (8, 0, 15_000), (4, 160, 3000)):
        truth = seconds(outputs, prompt_rows, cells)
        assert abs(model.predict(outputs, prompt_rows, cells) - truth) < 0.1 * truth


def test_knows_nothing_at_first() -> None:
    model = StepModel(0.1)

    assert model.predict(4, 100, 1000) == 0
    assert model.chunk(4, 1000, 160) == 160


def test_a_smoke_answer_is_enough_to_expect_a_long_prompt() -> None:
    def slow(outputs: int, prompt_rows: int, cells: int) -> float:
        return 0.15 + 0.03 * outputs + 0.05 * prompt_rows

    model = StepModel(0.25)
    for step in ((1, 59, 0), *((1, 0, 60 + number) for number in range(8))):
        model.observe(*step, slow(*step))

    assert slow(4, 156, 3000) / 2 < model.predict(4, 156, 3000) < 2 * slow(4, 156, 3000)


def test_a_chunk_keeps_the_step_near_its_target() -> None:
    chunk = fitted(target_seconds=0.1).chunk(8, 1000, 160)

    assert 60 < chunk < 90


def test_a_chunk_is_never_below_its_floor() -> None:
    assert fitted(target_seconds=0.001).chunk(8, 1000, 160) == 32
    assert fitted(target_seconds=0.001).chunk(8, 1000, 10) == 10
    assert fitted(target_seconds=0.033).chunk(8, 1000, 160) == 64, "a row costs less in a chunk of 64"


def test_a_prompt_alone_gets_the_whole_step() -> None:
    assert fitted().chunk(0, 1000, 160) == 160


def test_a_lone_outlier_changes_nothing_and_a_series_does() -> None:
    model = fitted()
    before = model.predict(4, 0, 1000)

    model.observe(4, 0, 1000, 5.0)
    assert model.predict(4, 0, 1000) == before
    for _ in range(60):
        model.observe(4, 0, 1000, 0.2)
    assert model.predict(4, 0, 1000) > 3 * before
