"""Carries planned actions out, and remembers what the API server refused."""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from chatbot_operator import builders, names
from chatbot_operator.actions import (
    Action,
    AnnotatePod,
    AnnotateTemplate,
    ApplyGoodRevision,
    CreateClaim,
    CreateJob,
    DeleteJob,
    EventNote,
    GrowClaim,
    SetOwnership,
)
from chatbot_operator.builders import JobSettings
from chatbot_operator.cluster.api import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, EVENTS, JOBS, MERGE, PODS, STRATEGIC, Api
from chatbot_operator.cluster.faults import ApiFault, Conflict, Missing
from chatbot_operator.reasons import Reason
from chatbot_operator.resources import Model

Refusal = tuple[Reason, str]

_ASK_AGAIN_SECONDS = 30.0
_CLAIM, _JOB = "claim", "job"


class Actor:
    """Does what was planned; each action is safe to do twice.

    A refusal (a quota, a policy, a missing right) is no failure: it is remembered, so that planning can say it in a
    condition, and the call is tried again after half a minute.
    """

    def __init__(self, api: Api, jobs: JobSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._jobs = jobs
        self._clock = clock
        self._refused: dict[tuple[str, str], tuple[float, Refusal]] = {}
        self._ways: Mapping[type[Action], Callable[[Model, Any], Awaitable[None]]] = {
            CreateClaim: self._create_claim,
            GrowClaim: self._grow_claim,
            SetOwnership: self._set_ownership,
            CreateJob: self._create_job,
            DeleteJob: self._delete_job,
            ApplyGoodRevision: self._apply_good_revision,
            AnnotateTemplate: self._annotate_template,
            AnnotatePod: self._annotate_pod,
        }

    async def carry_out(self, model: Model, action: Action) -> None:
        """Do one thing.

        Raises:
            ApiFault: The API server refused what should not be refused.
            Unreachable: It did not answer; whether it is done is not known.
        """
        await self._ways[type(action)](model, action)

    async def tell(self, model: Model, note: EventNote, now: datetime) -> None:
        """Post an Event."""
        try:
            await self._api.create(EVENTS, builders.event(model, note, now))
        except Conflict:  # posted already
            return

    def refusals(self, uid: str) -> tuple[Refusal | None, Refusal | None]:
        """Why the claim, and why the download Job of a Model were refused."""
        claim, job = (self._refused.get((uid, what)) for what in (_CLAIM, _JOB))
        return claim[1] if claim else None, job[1] if job else None

    def forget(self, uid: str) -> None:
        """A Model is gone."""
        for what in (_CLAIM, _JOB):
            self._refused.pop((uid, what), None)

    async def _create_claim(self, model: Model, action: CreateClaim) -> None:
        await self._or_refusal(model, _CLAIM, lambda: self._api.create(CLAIMS, builders.claim(model)))

    async def _grow_claim(self, model: Model, action: GrowClaim) -> None:
        name, patch = names.claim_name(model.name), builders.claim_size(action.size)
        await self._or_refusal(model, _CLAIM, lambda: self._api.patch(CLAIMS, model.namespace, name, patch, MERGE))

    async def _create_job(self, model: Model, action: CreateJob) -> None:
        await self._or_refusal(model, _JOB, lambda: self._api.create(JOBS, builders.job(model, action, self._jobs)))

    async def _delete_job(self, model: Model, action: DeleteJob) -> None:
        try:
            await self._api.delete(JOBS, model.namespace, action.name)
        except Missing:
            return

    async def _set_ownership(self, model: Model, action: SetOwnership) -> None:
        patch = builders.ownership(model, owned=action.owned)
        for kind, name in ((CLAIMS, names.claim_name(model.name)), (CONFIG_MAPS, names.config_map_name(model.name))):
            try:
                await self._api.patch(kind, model.namespace, name, patch, STRATEGIC)
            except Missing:
                continue

    async def _apply_good_revision(self, model: Model, action: ApplyGoodRevision) -> None:
        await self._api.apply(CONFIG_MAPS, builders.config_map(model, action.revision, owned=action.owned))

    async def _annotate_template(self, model: Model, action: AnnotateTemplate) -> None:
        if action.revision:
            await self._api.apply(DEPLOYMENTS, builders.template_annotation(model, action.deployment, action.revision))
            return
        patch = builders.no_template_annotation()
        await self._api.patch(DEPLOYMENTS, model.namespace, action.deployment, patch, MERGE)

    async def _annotate_pod(self, model: Model, action: AnnotatePod) -> None:
        patch = builders.pod_annotation(action.uid, action.revision)
        try:
            await self._api.patch(PODS, model.namespace, action.pod, patch, MERGE)
        except (Conflict, Missing):  # another pod by now, or none: it is looked at anew
            return

    async def _or_refusal(self, model: Model, what: str, call: Callable[[], Awaitable[object]]) -> None:
        """Call, unless the same was refused a moment ago."""
        key = model.uid, what
        refused_at, _ = self._refused.get(key, (float("-inf"), None))
        if self._clock() - refused_at < _ASK_AGAIN_SECONDS:
            return
        try:
            await call()
        except Conflict:  # it is there already
            self._refused.pop(key, None)
        except ApiFault as fault:
            if fault.status not in (403, 422):
                raise
            self._refused[key] = (
                self._clock(),
                (Reason.QUOTA_EXCEEDED, f"The {what} was refused: {fault.message}"[:500]),
            )
        else:
            self._refused.pop(key, None)
