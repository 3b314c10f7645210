"""Carries planned actions out, and remembers what the API server refused."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from chatbot_operator.cluster.api import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    MERGE,
    PODS,
    STRATEGIC,
    Api,
    Kind,
)
from chatbot_operator.cluster.faults import ApiFault, Conflict, Forbidden, Missing
from chatbot_operator.observed import Refusals
from chatbot_operator.reasons import Reason
from chatbot_operator.resources import Model

Refusal = tuple[Reason, str]

_ASK_AGAIN_SECONDS = 30.0
_REFUSABLE = (403, 422)
_WHAT: Mapping[type[Action], str] = {
    CreateClaim: "claim",
    GrowClaim: "claim",
    SetOwnership: "claim",
    CreateJob: "job",
    DeleteJob: "job",
    ApplyGoodRevision: "good_revision",
    AnnotateTemplate: "marks",
    AnnotatePod: "marks",
}
"""Field of `Refusals` that tells of a refused action."""

_IN_WORDS: Mapping[type[Action], str] = {
    CreateClaim: "To create the claim",
    GrowClaim: "To grow the claim",
    SetOwnership: "To change the owner of claim and ConfigMap",
    CreateJob: "To create the download Job",
    DeleteJob: "To delete an old download Job",
    ApplyGoodRevision: "To write the ConfigMap of the good revision",
    AnnotateTemplate: "To annotate the pod template",
    AnnotatePod: "To annotate a pod (InPlace)",
}
_LONGEST_DETAIL = 500


class Actor:
    """Does what was planned; each action is safe to do twice.

    A refusal (a quota, a policy, a missing right) is no failure: it is remembered, so that planning can say it in a
    condition, and the call is tried again after half a minute.
    """

    def __init__(self, api: Api, jobs: JobSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._jobs = jobs
        self._clock = clock
        self._refused: dict[str, dict[type[Action], tuple[float, Refusal]]] = defaultdict(dict)
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
        """Do one thing, unless the like was refused a moment ago.

        Raises:
            ApiFault: The API server refused what should not be refused.
            Unreachable: It did not answer; whether it is done is not known.
        """
        kind, refused = type(action), self._refused[model.uid]
        refused_at, _ = refused.get(kind, (float("-inf"), None))
        if self._clock() - refused_at < _ASK_AGAIN_SECONDS:
            return
        try:
            await self._ways[kind](model, action)
        except ApiFault as fault:
            if fault.status not in _REFUSABLE:
                raise
            refused[kind] = self._clock(), _refusal(kind, fault)
        else:
            refused.pop(kind, None)

    async def tell(self, model: Model, note: EventNote, now: datetime) -> None:
        """Post an Event."""
        try:
            await self._api.create(EVENTS, builders.event(model, note, now))
        except Conflict:  # posted already
            return

    def refusals(self, uid: str) -> Refusals:
        """What was refused for a Model, and is still wanted."""
        return Refusals(**{_WHAT[kind]: refusal for kind, (_, refusal) in self._refused.get(uid, {}).items()})

    def forget_unwanted(self, uid: str, planned: Iterable[Action]) -> None:
        """What is not planned any more is no complaint any more."""
        wanted = {type(action) for action in planned}
        refused = self._refused.pop(uid, {})
        if kept := {kind: entry for kind, entry in refused.items() if kind in wanted}:
            self._refused[uid] = kept

    def forget(self, uid: str) -> None:
        """A Model is gone."""
        self._refused.pop(uid, None)

    async def _create_claim(self, model: Model, action: CreateClaim) -> None:
        await self._create_once(CLAIMS, builders.claim(model))

    async def _grow_claim(self, model: Model, action: GrowClaim) -> None:
        name, patch = names.claim_name(model.name), builders.claim_size(action.size)
        await self._api.patch(CLAIMS, model.namespace, name, patch, MERGE)

    async def _create_job(self, model: Model, action: CreateJob) -> None:
        await self._create_once(JOBS, builders.job(model, action, self._jobs))

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
            document = builders.template_annotation(model, action.deployment, action.revision)
            await self._api.apply(DEPLOYMENTS, document, model.spec.marks.manager)
            return
        patch = builders.no_template_annotation(model)
        await self._api.patch(DEPLOYMENTS, model.namespace, action.deployment, patch, MERGE)

    async def _annotate_pod(self, model: Model, action: AnnotatePod) -> None:
        patch = builders.pod_annotation(model, action.uid, action.revision)
        try:
            await self._api.patch(PODS, model.namespace, action.pod, patch, MERGE)
        except (Conflict, Missing):  # another pod by now, or none: it is looked at anew
            return

    async def _create_once(self, kind: Kind, document: dict[str, Any]) -> None:
        try:
            await self._api.create(kind, document)
        except Conflict:  # it is there already
            return


def _refusal(kind: type[Action], fault: ApiFault) -> Refusal:
    is_missing_right = isinstance(fault, Forbidden) and fault.is_missing_right
    reason = Reason.MISSING_RIGHT if is_missing_right else Reason.QUOTA_EXCEEDED
    return reason, f"{_IN_WORDS[kind]} was refused: {fault.message[:_LONGEST_DETAIL].rstrip('.')}."
