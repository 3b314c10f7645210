"""A status as the API server keeps it. Writing and reading are each other's inverse.

Unknown keys and values are ignored, so an older operator reads what a newer one wrote.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from chatbot_operator.plan.phase import phase
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import (
    Condition,
    ConsumerStatus,
    DownloadStatus,
    HistoryEntry,
    HistoryState,
    ModelStatus,
    RolloutStatus,
    Strategy,
    format_time,
    parse_time,
)

_Document = Mapping[str, Any]
_STATES: tuple[HistoryState, ...] = get_args(HistoryState)


def status_to_dict(status: ModelStatus) -> dict[str, Any]:
    """`status` as it is written, with the phase and the percent that are derived from the rest."""
    return _without_none(
        {
            "observedGeneration": status.observed_generation,
            "phase": phase(status.conditions),
            "revision": status.revision,
            "lastGoodRevision": status.last_good_revision,
            "download": _download_to_dict(status.download),
            "rollout": _rollout_to_dict(status.rollout),
            "consumers": [_consumer_to_dict(consumer) for consumer in status.consumers],
            "history": [_entry_to_dict(entry) for entry in status.history],
            "conditions": [_condition_to_dict(condition) for condition in status.conditions.values()],
        }
    )


def status_from_dict(document: _Document) -> ModelStatus:
    """Read a status; an empty one where the Model has none yet."""
    conditions = [_condition(entry) for entry in document.get("conditions", ())]
    return ModelStatus(
        observed_generation=document.get("observedGeneration", 0),
        revision=document.get("revision", ""),
        last_good_revision=document.get("lastGoodRevision", ""),
        download=_download(document.get("download", {})),
        rollout=_rollout(document.get("rollout", {})),
        consumers=tuple(_consumer(entry) for entry in document.get("consumers", ())),
        history=tuple(entry for entry in map(_entry, document.get("history", ())) if entry),
        conditions={condition.type: condition for condition in conditions if condition},
    )


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _written(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _read(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def _download_to_dict(download: DownloadStatus) -> dict[str, Any]:
    percent = None
    if download.bytes_done is not None and download.bytes_total:
        percent = min(100, download.bytes_done * 100 // download.bytes_total)
    return _without_none(
        {
            "bytesTotal": download.bytes_total,
            "bytesDone": download.bytes_done,
            "percent": percent,
            "bytesPerSecond": download.bytes_per_second,
            "etaSeconds": download.eta_seconds,
            "attempt": download.attempt,
            "sourceKey": download.source_key,
        }
    )


def _download(document: _Document) -> DownloadStatus:
    return DownloadStatus(
        bytes_total=document.get("bytesTotal"),
        bytes_done=document.get("bytesDone"),
        bytes_per_second=document.get("bytesPerSecond"),
        eta_seconds=document.get("etaSeconds"),
        attempt=document.get("attempt", 0),
        source_key=document.get("sourceKey", ""),
    )


def _rollout_to_dict(rollout: RolloutStatus) -> dict[str, Any]:
    return _without_none(
        {
            "revision": rollout.revision,
            "consumer": rollout.consumer,
            "startedAt": _written(rollout.started_at),
            "pausedSeconds": rollout.paused_seconds,
            "pausedSince": _written(rollout.paused_since),
            "soakUntil": _written(rollout.soak_until),
            "slowSince": _written(rollout.slow_since),
            "strategy": rollout.strategy,
            "templateFingerprint": rollout.template_fingerprint,
            "attempt": rollout.attempt,
            "retryHandled": rollout.retry_handled,
        }
    )


def _rollout(document: _Document) -> RolloutStatus:
    strategy = document.get("strategy", "")
    return RolloutStatus(
        revision=document.get("revision", ""),
        consumer=document.get("consumer", ""),
        started_at=_read(document.get("startedAt")),
        paused_seconds=document.get("pausedSeconds", 0),
        paused_since=_read(document.get("pausedSince")),
        soak_until=_read(document.get("soakUntil")),
        slow_since=_read(document.get("slowSince")),
        strategy=strategy if strategy in get_args(Strategy) else "",
        template_fingerprint=document.get("templateFingerprint", ""),
        attempt=document.get("attempt", 0),
        retry_handled=document.get("retryHandled", ""),
    )


def _consumer_to_dict(consumer: ConsumerStatus) -> dict[str, Any]:
    return {
        "kind": consumer.kind,
        "name": consumer.name,
        "revision": consumer.revision,
        "readyReplicas": consumer.ready_replicas,
        "replicas": consumer.replicas,
    }


def _consumer(document: _Document) -> ConsumerStatus:
    return ConsumerStatus(
        kind=document["kind"],
        name=document["name"],
        revision=document.get("revision", ""),
        ready_replicas=document.get("readyReplicas", 0),
        replicas=document.get("replicas", 0),
    )


def _entry_to_dict(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "revision": entry.revision,
        "sha256": entry.sha256,
        "url": entry.url,
        "state": entry.state,
        "since": format_time(entry.since),
    }


def _entry(document: _Document) -> HistoryEntry | None:
    state: HistoryState | None = next((known for known in _STATES if known == document.get("state")), None)
    since = document.get("since")
    if state is None or since is None:
        return None
    return HistoryEntry(
        revision=document["revision"],
        sha256=document.get("sha256", ""),
        url=document.get("url", ""),
        state=state,
        since=parse_time(since),
    )


def _condition_to_dict(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type.value,
        "status": condition.status,
        "reason": condition.reason.value,
        "message": condition.message,
        "lastTransitionTime": format_time(condition.last_transition_time),
        "observedGeneration": condition.observed_generation,
    }


def _condition(document: _Document) -> Condition | None:
    try:
        kind, reason = ConditionType(document["type"]), Reason(document["reason"])
    except ValueError:
        return None
    return Condition(
        type=kind,
        status=document["status"],
        reason=reason,
        message=document["message"],
        last_transition_time=parse_time(document["lastTransitionTime"]),
        observed_generation=document.get("observedGeneration", 0),
    )
