"""From the objects of a namespace and what its pods say to the file and the statuses: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatbot_operator.compiled.bundle import MOST_BYTES, Bundle, Source, bounded, compiled, digest, fits
from chatbot_operator.compiled.pages import ServedFile, ServedObject
from chatbot_operator.compiled.reasons import READY, WELL, ReadyReason
from chatbot_operator.resources import format_time

Document = dict[str, Any]
_SOON_SECONDS: Final = 5.0
_LONGEST_MESSAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Consumer:
    """A Deployment that mounts the file; `pages` has what each ready pod says, None where it does not answer."""

    name: str
    pages: tuple[ServedFile | None, ...] = ()


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
    sources = sorted((bounded(bundle, source) for source in sources), key=lambda source: source.name)
    if not sources and observed.text is None:  # nobody ever used it: nothing is made
        return Planned(None, {})
    look = _Look(bundle, observed, compiled(bundle, sources, observed.text), now)
    served = look.text if fits(look.text) else None
    ready = {source.name: look.ready(source) for source in sources}
    statuses = {source.name: look.status(source, ready[source.name]) for source in sources}
    is_under_way = any(reason in (ReadyReason.PROGRESSING, ReadyReason.NO_ANSWER) for reason, _ in ready.values())
    return Planned(
        text=served if served != observed.text else None,
        statuses={source.name: statuses[source.name] for source in sources if statuses[source.name] != source.status},
        again_in_seconds=_SOON_SECONDS if is_under_way else None,
    )


def is_ready_status(status: Mapping[str, Any]) -> bool:
    """Whether a status says that every consumer serves the object."""
    return any(one["type"] == READY and one["status"] == "True" for one in status.get("conditions", ()))


@dataclass(frozen=True, slots=True)
class _Look:
    """What is the same for every object of a namespace. `text` is what the ConfigMap shall have."""

    bundle: Bundle
    observed: Observed
    text: str
    now: datetime

    def status(self, source: Source, ready: tuple[ReadyReason, str]) -> Document:
        """What the object's status shall be."""
        served = [one for consumer in self.observed.consumers for one in self._served(consumer, source)]
        found = self.bundle.check(source.spec, served)
        kind, well = self.bundle.second
        second = found[0].reason if found else well, "; ".join(one.text for one in found)[:_LONGEST_MESSAGE]
        return {
            "observedGeneration": source.generation,
            **self.bundle.told(served, source.status),
            "consumers": [
                {"kind": "Deployment", "name": consumer.name, "generation": self._generation(consumer, source)}
                for consumer in self.observed.consumers
                if consumer.pages
            ],
            "conditions": [
                self._condition(source, READY, ready, is_true=ready[0] in WELL),
                self._condition(source, kind, second, is_true=not found),
            ],
        }

    def ready(self, source: Source) -> tuple[ReadyReason, str]:
        """The first thing that keeps the object from being served, in the order in which they must be mended."""
        if source.problem:
            reason, told = source.problem
            return reason, f"{told}; what was compiled before holds"
        if not fits(self.text):
            size = len(self.text.encode())
            told = f"all {self.bundle.plural} of this namespace take {size} bytes, a ConfigMap holds {MOST_BYTES}"
            return ReadyReason.TOO_LARGE, f"{told}: remove some; until then the last ones that fitted hold"
        if self.observed.refusal:
            return ReadyReason.WRITE_REFUSED, self.observed.refusal
        consumers = [consumer for consumer in self.observed.consumers if consumer.pages]
        if not consumers:
            return ReadyReason.NO_CONSUMER, "it is compiled; no ready pod mounts it"
        for consumer in consumers:
            late = self._late(consumer, source)
            if late is not None:
                return late
        return ReadyReason.APPLIED, f"served by {', '.join(consumer.name for consumer in consumers)}"

    def _late(self, consumer: Consumer, source: Source) -> tuple[ReadyReason, str] | None:
        behind = [page for page in consumer.pages if not self._serves(page, source)]
        if not behind:
            return None
        count = f"{len(behind)} of {len(consumer.pages)} ready pods"
        if rejected := next(filter(None, (_problem(page, source) for page in behind)), ""):
            told = f"{consumer.name}: {count} cannot use it and keep what they had: {rejected}"
            return ReadyReason.REJECTED, told[:_LONGEST_MESSAGE]
        if all(page is None for page in behind):
            where = f":9090/{self.bundle.page}"
            return ReadyReason.NO_ANSWER, f"{consumer.name}: {count} do not say at {where} what they serve"
        told = f"{consumer.name}: {count} do not serve this generation yet; the kubelet brings it within about a minute"
        if any(page is not None and page.state == "none" for page in behind):
            told += f"; if it lasts, see whether {self.bundle.setting} is set there and its ConfigMap mounted"
        return ReadyReason.PROGRESSING, told

    def _serves(self, page: ServedFile | None, source: Source) -> bool:
        if page is None:
            return False
        served = page.objects.get(source.uid)
        if served is not None and served.problem:
            return False
        if page.digest == digest(self.text):
            return True
        return served is not None and served.generation == source.generation and served.card == source.card_digest

    def _generation(self, consumer: Consumer, source: Source) -> int:
        """The oldest one that a ready pod serves; 0 where one serves none, or does not say."""
        return min(
            source.generation if self._serves(page, source) else _generation(page, source) for page in consumer.pages
        )

    def _served(self, consumer: Consumer, source: Source) -> Sequence[ServedObject]:
        """What pods that serve it say of it."""
        pages = [page for page in consumer.pages if page is not None and self._serves(page, source)]
        return [page.objects[source.uid] for page in pages if source.uid in page.objects]

    def _condition(self, source: Source, kind: str, why: tuple[str, str], *, is_true: bool) -> Document:
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
            "lastTransitionTime": since or format_time(self.now),
            "observedGeneration": source.generation,
        }


def _problem(page: ServedFile | None, source: Source) -> str:
    """Why a pod does not serve the object, if it says."""
    if page is None:
        return ""
    served = page.objects.get(source.uid)
    return served.problem if served is not None and served.problem else page.message


def _generation(page: ServedFile | None, source: Source) -> int:
    served = page.objects.get(source.uid) if page is not None else None
    return served.generation if served is not None else 0
