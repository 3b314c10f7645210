"""One look at one Model: read, plan, write the status, carry the actions out, post the Events.

Always in this order, and always from what the API server shows: see docs/adr/0009. What must not happen twice is in
the status, which is written with the `resourceVersion` that was read, so of two operators one has to read again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chatbot_operator.actions import EventNote, Plan
from chatbot_operator.actor import Actor
from chatbot_operator.cluster.api import MOST_WRITES_AT_ONCE, Api
from chatbot_operator.cluster.faults import ApiFault, Conflict, Forbidden, Missing, Unreachable
from chatbot_operator.cluster.looks import timed_look
from chatbot_operator.cluster.reader import Key, Reader
from chatbot_operator.metrics import Metrics
from chatbot_operator.plan import plan, plan_blind, status_to_dict
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Model

logger = logging.getLogger(__name__)

_AFTER_A_CONFLICT_SECONDS = 0.05
_AFTER_A_REFUSAL_SECONDS = 1.0
_NO_FAILURE = frozenset(
    {
        Reason.PENDING,
        Reason.DOWNLOADING,
        Reason.DOWNLOADED,
        Reason.WAITING_FOR_STORAGE,
        Reason.UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.MISSING_RIGHT,
        Reason.IMAGE_PULL,
        Reason.MOUNT_FAILED,
        Reason.NODE_LOST,
    }
)


class Reconciler:
    """Brings one Model after another nearer to its spec. Remembers nothing that it could not do without.

    Very many that are due at once are read and planned together, and written one after the other, each to its end: if
    all wrote their first word before one its second, none would be through until nearly all are.
    """

    def __init__(self, api: Api, reader: Reader, actor: Actor, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._api = api
        self._reader = reader
        self._actor = actor
        self._metrics = metrics
        self._now = now
        self._uids: dict[Key, str] = {}
        self._writing = asyncio.Semaphore(MOST_WRITES_AT_ONCE)

    async def reconcile(self, key: Key) -> float | None:
        """Look at one Model once.

        Returns:
            Seconds until it should be looked at again, None where nothing but a change asks for it.

        Raises:
            ApiFault: The API server refused what should not be refused.
            Unreachable: It did not answer in time.
        """
        with timed_look(self._metrics) as look:
            again, look.outcome = await self._look(key)
        return again

    async def _look(self, key: Key) -> tuple[float | None, str]:
        try:
            found = await self._reader.read(key)
        except Forbidden as fault:
            await self._say_blind(key, fault)
            raise
        if found is None or found[0].deleting:
            self._forget(key)
            return None, "ok"
        model, observed = found
        self._uids[key] = model.uid
        refused = self._actor.refusals(model.uid)
        planned = plan(model, replace(observed, refused=refused), self._now())
        async with self._writing:
            return await self._carry_out(model, planned)

    async def _carry_out(self, model: Model, planned: Plan) -> tuple[float | None, str]:
        try:
            await self._write(model, planned)
        except Conflict:  # changed since it was read: read again, plan again
            return _AFTER_A_CONFLICT_SECONDS, "conflict"
        except Missing:
            return None, "ok"
        return await self._act(model, planned), "ok"

    async def _say_blind(self, key: Key, fault: Forbidden) -> None:
        """What cannot be read is told where people look, if at least the Model can be read and written."""
        try:
            model = await self._reader.read_model(key)
            planned = plan_blind(model, f"What belongs to it cannot be read: {fault.message.rstrip('.')}.", self._now())
            await self._write(model, planned)
            await self._act(model, planned)
        except (ApiFault, Unreachable):
            return

    async def _write(self, model: Model, planned: Plan) -> None:
        """The status first: it holds what must not happen twice."""
        if planned.status != model.status:
            document = status_to_dict(planned.status)
            await self._api.write_status(model.namespace, model.name, document, model.resource_version)
            self._count(model, planned)
        self._metrics.saw(model.namespace, model.name, planned.status, model.spec.kind)

    async def _act(self, model: Model, planned: Plan) -> float | None:
        before = self._actor.refusals(model.uid)
        for action in planned.actions:
            await self._actor.carry_out(model, action)
        for note in planned.events:
            await self._tell(model, note, self._now())
        self._actor.forget_unwanted(model.uid, planned.actions)
        if self._actor.refusals(model.uid) != before:
            return _AFTER_A_REFUSAL_SECONDS
        return planned.again_in_seconds

    async def _tell(self, model: Model, note: EventNote, moment: datetime) -> None:
        """An Event that cannot be posted (the namespace is going) stops nothing."""
        try:
            await self._actor.tell(model, note, moment)
        except (ApiFault, Unreachable) as error:
            logger.warning("an event was not posted: %s", error, extra={"model": model.name, "reason": note.reason})

    def _count(self, model: Model, planned: Plan) -> None:
        """Counters, once for each thing that the status now says for the first time."""
        labels = model.name, model.namespace
        before, after = (s.conditions.get(ConditionType.DOWNLOADED) for s in (model.status, planned.status))
        if after and after.status == "False" and after.reason not in _NO_FAILURE and before != after:
            self._metrics.failures.labels(*labels, after.reason.value).inc()
        if planned.rollout_result:
            self._metrics.rollouts.labels(*labels, planned.rollout_result).inc()
            started_at = model.status.rollout.started_at
            if started_at:
                self._metrics.rollout_seconds.labels(*labels).observe((self._now() - started_at).total_seconds())

    def _forget(self, key: Key) -> None:
        self._metrics.forget(*key)
        uid = self._uids.pop(key, None)
        if uid:
            self._actor.forget(uid)


def report(key: Key, error: Exception) -> None:
    """A look that failed: what a user or the cluster can cause in one line, a bug with the place where it is."""
    extra = {"namespace": key[0], "model": key[1]}
    if isinstance(error, ApiFault | Unreachable):
        logger.warning("tried again later: %s", error, extra=extra)
    else:
        logger.error("tried again later", exc_info=error, extra=extra)
