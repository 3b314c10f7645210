"""What services say about their model and what the operator understands: the two share no code, only words."""

from dataclasses import fields
from pathlib import Path

from chatbot.domain.model import ModelReason, ModelState, ModelStatus
from chatbot.llm import model_source
from chatbot_operator import names
from chatbot_operator.observed import ServedModel
from chatbot_operator.plan.rollout import serving, verdict
from chatbot_operator.reasons import MODEL_FAULTS, Reason


def source_of(module: object) -> str:
    return Path(str(getattr(module, "__file__", ""))).read_text()


def test_every_reason_of_a_pod_is_a_fault_of_the_model() -> None:
    said = {reason.value for reason in ModelReason}

    assert said == {reason.value for reason in MODEL_FAULTS} - {Reason.TOO_SLOW.value}, (
        "speed is judged by the operator"
    )


def test_states_that_the_operator_looks_for_exist() -> None:
    planning = source_of(serving) + source_of(verdict)

    looked_for = {state for state in ("serving", "failed") if f'"{state}"' in planning}

    assert looked_for == {ModelState.SERVING.value, ModelState.FAILED.value}


def test_service_reads_the_key_that_the_operator_writes() -> None:
    followed = source_of(model_source)

    assert f'"{names.GOOD_REVISION_KEY}"' in followed
    assert f'"{names.REVISION_ANNOTATION.split("/")[1]}"' in followed


def test_operator_reads_nothing_that_no_service_says() -> None:
    assert {field.name for field in fields(ServedModel)} <= {field.name for field in fields(ModelStatus)}
