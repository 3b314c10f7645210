"""From the objects of a namespace and what its pods say to the file and the statuses: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatbot_operator.resources import format_time
from chatbot_operator.tenants.bundle import MOST_BYTES, Bundle, Source, compiled, digest, fits
from chatbot_operator.tenants.pages import ServedPolicies
from chatbot_operator.tenants.reasons import TenantCondition, TenantReason

Document = dict[str, Any]
_SOON_SECONDS: Final = 5.0
_LONGEST_MESSAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Consumer:
    """A Deployment that mounts the file; `pages` has what each ready pod says, None where it does not answer."""

    name: str
    pages: tuple[ServedPolicies | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows.

    Attributes:
        text: What the ConfigMap has now; None where there is none, or not this file.
        refusal: Why it could not be written a moment ago; "" where nobody refused.
    """

    consumers: tuple[Consumer, ...] = ()
    text: str | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What shall be.

    Attributes:
        text: To be written into the ConfigMap; None leaves it as it is.
        statuses: By name; those that shall be written because they differ.
        again_in_seconds: When to look again although nothing is told; None leaves it to watches and the tick.
    """

    text: str | None
    statuses: Mapping[str, Document]
    again_in_seconds: float | None = None


def plan(bundle: Bundle, sources: Iterable[Source], observed: Observed, now: datetime) -> Planned:
    """What the ConfigMap and the statuses of a namespace shall be."""
    sources = sorted(sources, key=lambda source: source.name)
    text = compiled(bundle, sources)
    if not sources and observed.text is None:  # nobody ever used it: nothing is made
        return Planned(None, {})
    served = text if fits(text) else None
    ready = {source.name: _ready(source, text, observed) for source in sources}
    statuses = {source.name: _status(bundle, source, ready[source.name], text, observed, now) for source in sources}
    is_under_way = any(reason in (TenantReason.PROGRESSING, TenantReason.NO_ANSWER) for reason, _ in ready.values())
    return Planned(
        text=served if served != observed.text else None,
        statuses={source.name: statuses[source.name] for source in sources if statuses[source.name] != source.status},
        again_in_seconds=_SOON_SECONDS if is_under_way else None,
    )


def is_ready_status(status: Mapping[str, Any]) -> bool:
    """Whether a status says that every consumer serves the policy."""
    return any(one["type"] == TenantCondition.READY and one["status"] == "True" for one in status.get("conditions", ()))


def _status(
    bundle: Bundle, source: Source, ready: tuple[TenantReason, str], text: str, observed: Observed, now: datetime
) -> Document:
    found = bundle.check(source.spec)
    reason = found[0].reason if found else TenantReason.CONSISTENT
    message = "; ".join(finding.text for finding in found)
    return {
        "observedGeneration": source.generation,
        "consumers": [
            {"kind": "Deployment", "name": consumer.name, "generation": _generation(consumer, source, text)}
            for consumer in observed.consumers
            if consumer.pages
        ],
        "conditions": [
            _condition(source, TenantCondition.READY, ready, now, is_true=ready[0] in _WELL),
            _condition(source, TenantCondition.LIMITS_CONSISTENT, (reason, message), now, is_true=not found),
        ],
    }


_WELL: Final = (TenantReason.APPLIED, TenantReason.NO_CONSUMER)


def _ready(source: Source, text: str, observed: Observed) -> tuple[TenantReason, str]:
    """The first thing that keeps the policy from being served, in the order in which they must be mended."""
    if not fits(text):
        size = len(text.encode())
        told = f"all Tenants of this namespace take {size} bytes, a ConfigMap holds {MOST_BYTES}: remove some"
        return TenantReason.TOO_LARGE, f"{told}; until then the last policies that fitted hold"
    if observed.refusal:
        return TenantReason.WRITE_REFUSED, observed.refusal
    consumers = [consumer for consumer in observed.consumers if consumer.pages]
    if not consumers:
        return TenantReason.NO_CONSUMER, "the policy is compiled; no ready pod mounts it"
    for consumer in consumers:
        late = _late(consumer, source, text)
        if late is not None:
            return late
    return TenantReason.APPLIED, f"served by {', '.join(consumer.name for consumer in consumers)}"


def _late(consumer: Consumer, source: Source, text: str) -> tuple[TenantReason, str] | None:
    behind = [page for page in consumer.pages if not _serves(page, source, text)]
    if not behind:
        return None
    count = f"{len(behind)} of {len(consumer.pages)} ready pods"
    if rejected := next((page.message for page in behind if page is not None and page.message), ""):
        told = f"{consumer.name}: {count} cannot read the policies and keep those they had: {rejected}"
        return TenantReason.REJECTED, told[:_LONGEST_MESSAGE]
    if all(page is None for page in behind):
        return TenantReason.NO_ANSWER, f"{consumer.name}: {count} do not say at :9090/policy what they serve"
    told = f"{consumer.name}: {count} do not serve this generation yet; the kubelet brings it within about a minute"
    if any(page is not None and page.state == "none" for page in behind):
        told += "; if it lasts, see whether CHATBOT_TENANTS_FILE is set there and its ConfigMap mounted"
    return TenantReason.PROGRESSING, told


def _serves(page: ServedPolicies | None, source: Source, text: str) -> bool:
    if page is None:
        return False
    return page.digest == digest(text) or page.generations.get(source.uid) == source.generation


def _generation(consumer: Consumer, source: Source, text: str) -> int:
    """The oldest one that a ready pod serves; 0 where one serves none, or does not say."""
    return min(
        source.generation if _serves(page, source, text) else page.generations.get(source.uid, 0) if page else 0
        for page in consumer.pages
    )


def _condition(
    source: Source, kind: TenantCondition, why: tuple[TenantReason, str], now: datetime, *, is_true: bool
) -> Document:
    reason, message = why
    status = "True" if is_true else "False"
    before: Mapping[str, Any] = next(
        (one for one in source.status.get("conditions", ()) if one.get("type") == kind), {}
    )
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": str(kind),
        "status": status,
        "reason": str(reason),
        "message": message,
        "lastTransitionTime": since or format_time(now),
        "observedGeneration": source.generation,
    }
