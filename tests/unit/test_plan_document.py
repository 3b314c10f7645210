"""A status as it is written: what the CRD allows, and one word for people."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot_operator.plan import phase, status_from_dict, status_to_dict
from chatbot_operator.plan.texts import message
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import (
    Condition,
    ConsumerStatus,
    DownloadStatus,
    HistoryEntry,
    ModelStatus,
    RolloutStatus,
)

CRD = Path(__file__).parents[2] / "charts/chatbot-operator/files/models.chatbot.ai.yaml"
NOW = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)


def condition(reason: Reason, status: str = "False") -> dict[ConditionType, Condition]:
    truth = next(value for value in ("True", "False", "Unknown") if value == status)
    return {ConditionType.READY: Condition(ConditionType.READY, truth, reason, "text", NOW, 3)}


FULL = ModelStatus(
    observed_generation=3,
    revision="a" * 16,
    last_good_revision="b" * 16,
    download=DownloadStatus(999, 500, 10, 50, 2, "0" * 8),
    rollout=RolloutStatus("a" * 16, "office", NOW, 5, NOW, NOW, NOW, "InPlace", "f" * 8, 4, "again"),
    consumers=(ConsumerStatus("Deployment", "office", "a" * 16, 1, 2),),
    history=(HistoryEntry("a" * 16, "a" * 64, "hf://o/r/a.gguf", "Good", NOW),),
    conditions=condition(Reason.SERVING, "True"),
)


def test_status_is_read_as_it_was_written() -> None:
    assert status_from_dict(status_to_dict(FULL)) == FULL
    assert status_from_dict(status_to_dict(ModelStatus())) == ModelStatus()
    assert status_from_dict({}) == ModelStatus()


def test_what_a_later_operator_wrote_is_ignored() -> None:
    document = status_to_dict(FULL) | {"surprise": 1}
    document["conditions"].append({"type": "Brighter", "reason": "Sun", "status": "True"})
    document["history"].append({"revision": "c" * 16, "state": "Archived", "since": "2026-11-21T00:00:00Z"})
    document["rollout"]["strategy"] = "Canary"

    read = status_from_dict(document)

    assert (read.conditions, read.history, read.rollout.strategy) == (FULL.conditions, FULL.history, "")


def unlisted(document: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Fields that the API server would drop."""
    if isinstance(document, list):
        return [found for item in document for found in unlisted(item, schema["items"], f"{path}[]")]
    if not isinstance(document, dict):
        return []
    known = schema.get("properties", {})
    missing = [f"{path}.{name}" for name in document if name not in known]
    return missing + [
        found
        for name, value in document.items()
        if name in known
        for found in unlisted(value, known[name], f"{path}.{name}")
    ]


def test_crd_keeps_every_field_that_is_written() -> None:
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    assert unlisted(status_to_dict(FULL), schema["properties"]["status"], "status") == []


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(0, 100, 0), (999, 1000, 99), (7, 7, 100), (8, 7, 100), (5, None, None), (0, 0, None)],
)
def test_percent_is_whole_only_when_all_is_there(done: int, total: int | None, percent: int | None) -> None:
    status = ModelStatus(download=DownloadStatus(bytes_done=done, bytes_total=total))

    assert status_to_dict(status)["download"].get("percent") == percent


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [
        (Reason.SERVING, "True", "Ready"),
        (Reason.NO_CONSUMER, "True", "Ready"),
        (Reason.DOWNLOADING, "False", "Downloading"),
        (Reason.WAITING_FOR_STORAGE, "False", "Pending"),
        (Reason.PROGRESSING, "False", "RollingOut"),
        (Reason.SOAKING, "False", "Soaking"),
        (Reason.PAUSED, "False", "Paused"),
        (Reason.ROLLED_BACK, "False", "RolledBack"),
        (Reason.NOT_FOUND, "False", "Failed"),
    ],
)
def test_phase_is_one_word_about_ready(reason: Reason, status: str, word: str) -> None:
    assert phase(condition(reason, status)) == word


def test_phase_of_a_model_that_nobody_looked_at() -> None:
    assert phase({}) == "Pending"


def test_what_a_pod_says_ends_before_the_remedy_begins() -> None:
    assert message(Reason.SMOKE_EMPTY, "nothing printable").startswith("nothing printable. Choose")
    assert message(Reason.SMOKE_EMPTY, "Nothing came.").startswith("Nothing came. Choose")
