"""The fit of the step time: predicts, sizes chunks, and shrugs off a lone outlier."""

import random

from chatbot.llm.engine.batching.steps.step_model import Load, StepModel


def seconds(load: Load) -> float:
    rows = 0.010 + 0.002 * load.outputs + 0.001 * load.prompt_rows
    return rows + 2e-6 * load.answer_cells + 4e-7 * load.prompt_cells


def fitted(target_seconds: float = 0.1, steps: int = 300) -> StepModel:
    rng = random.Random(5)
    model = StepModel(target_seconds)
    for _ in range(steps):
        outputs, rows = rng.randrange(9), rng.choice((0, 0, 64, 160))
        load = Load(outputs, rows, rng.randrange(20_000) if outputs else 0, rows * rng.randrange(6000))
        model.observe(load, seconds(load) * rng.uniform(0.95, 1.05))
    return model


def test_predicts_what_it_saw() -> None:
    model = fitted()

    for load in (Load(1, 0, 100, 0), Load(8, 0, 15_000, 0), Load(4, 160, 3000, 0), Load(1, 160, 0, 160 * 5000)):
        assert abs(model.predict(load) - seconds(load)) < 0.1 * seconds(load)


def test_knows_nothing_at_first() -> None:
    model = StepModel(0.1)

    assert model.predict(Load(4, 100, 1000, 0)) == 0
    assert model.chunk(Load(4, 0, 1000, 0), 0, 160) == 160


def test_a_smoke_answer_is_enough_to_expect_a_long_prompt() -> None:
    def slow(load: Load) -> float:
        return 0.15 + 0.03 * load.outputs + 0.05 * load.prompt_rows

    model, long = StepModel(0.25), Load(4, 156, 3000, 0)
    for load in (Load(1, 59, 0, 0), *(Load(1, 0, 60 + number, 0) for number in range(8))):
        model.observe(load, slow(load))

    assert slow(long) / 2 < model.predict(long) < 2 * slow(long)


def test_a_chunk_keeps_the_step_near_its_target() -> None:
    model, answers = fitted(target_seconds=0.1), Load(8, 0, 1000, 0)

    assert 60 < model.chunk(answers, 0, 160) < 90
    assert 25 < model.chunk(answers, 4000, 160) - 32 + 1 or model.chunk(answers, 4000, 160) == 64


def test_a_chunk_is_never_below_its_floor() -> None:
    assert fitted(target_seconds=0.001).chunk(Load(8, 0, 1000, 0), 0, 160) == 32
    assert fitted(target_seconds=0.001).chunk(Load(8, 0, 1000, 0), 0, 10) == 10
    assert fitted(target_seconds=0.033).chunk(Load(8, 0, 1000, 0), 0, 160) == 64, "a row costs less in a chunk of 64"


def test_a_prompt_alone_gets_the_whole_step() -> None:
    assert fitted().chunk(Load(0, 0, 1000, 0), 0, 160) == 160


def test_a_lone_outlier_changes_nothing_and_a_series_does() -> None:
    model = fitted()
    load = Load(4, 0, 1000, 0)
    before = model.predict(load)

    model.observe(load, 5.0)
    assert model.predict(load) == before
    for _ in range(60):
        model.observe(load, 0.2)
    assert model.predict(load) > 3 * before
