"""The claim: created, grown, tied to the Model's life or not, and what is wrong with it."""

import re
from decimal import Decimal

from chatbot_operator.actions import CreateClaim, GrowClaim, SetOwnership
from chatbot_operator.observed import Claim
from chatbot_operator.plan.draft import Draft
from chatbot_operator.reasons import ConditionType, Reason

_STORAGE_READY = ConditionType.STORAGE_READY
_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?)(?P<suffix>[A-Za-z]*)", re.ASCII)
_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def plan_storage(draft: Draft) -> None:
    """Condition StorageReady, and what has to be done for it."""
    claim = draft.observed.claim
    if claim is None:
        _missing(draft)
        return
    if not draft.spec.storage.existing_claim:
        _grow(draft, claim)
    _own(draft, claim)
    _judge(draft, claim)


def _missing(draft: Draft) -> None:
    if draft.spec.storage.existing_claim:
        draft.complain(_STORAGE_READY, Reason.NO_SUCH_CLAIM)
        return
    draft.act(CreateClaim())
    if draft.observed.refused.claim:
        draft.complain(_STORAGE_READY, *draft.observed.refused.claim)
    else:
        draft.set(_STORAGE_READY, "False", Reason.CLAIM_PENDING, "The claim is being created.")


def _grow(draft: Draft, claim: Claim) -> None:
    wanted, have = bytes_of(draft.spec.storage.size), bytes_of(claim.size)
    # A claim without a volume cannot grow yet.
    if claim.phase == "Bound" and wanted is not None and have is not None and wanted > have:
        draft.act(GrowClaim(draft.spec.storage.size))


def _own(draft: Draft, claim: Claim) -> None:
    """Both objects alike; a claim that was there before the Model never goes with it."""
    owned = draft.spec.storage.deletion_policy == "Delete"
    has_config_map = draft.observed.good_revision is not None
    if claim.owned != owned or (has_config_map and draft.observed.config_map_owned != owned):
        draft.act(SetOwnership(owned))


def _judge(draft: Draft, claim: Claim) -> None:
    nodes = _nodes(draft)
    if claim.phase == "Lost":
        draft.complain(_STORAGE_READY, Reason.VOLUME_ERROR, f"The volume of claim {claim.name} is lost.")
    elif len(nodes) > 1 and "ReadWriteMany" not in claim.access_modes:
        draft.complain(
            _STORAGE_READY,
            Reason.READ_WRITE_ONCE_ACROSS_NODES,
            f"Claim {claim.name} is ReadWriteOnce, and pods that use it are on {len(nodes)} nodes: {_some(nodes)}.",
        )
    elif claim.problem:
        draft.complain(_STORAGE_READY, *claim.problem)
    elif draft.observed.refused.claim:
        draft.complain(_STORAGE_READY, *draft.observed.refused.claim)
    elif claim.phase == "Bound":
        draft.set(_STORAGE_READY, "True", Reason.BOUND, f"Claim {claim.name} is bound.")
    else:
        of_class = f" of class {draft.spec.storage.storage_class_name}" if draft.spec.storage.storage_class_name else ""
        draft.set(_STORAGE_READY, "False", Reason.CLAIM_PENDING, f"Claim {claim.name} waits for a volume{of_class}.")


def _nodes(draft: Draft) -> list[str]:
    return sorted({pod.node for consumer in draft.observed.consumers for pod in consumer.pods if pod.node})


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (" and more" if len(texts) > 3 else "")


def bytes_of(quantity: str) -> Decimal | None:
    """A Kubernetes quantity as a number, None where it is none.

    Format: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    parts = _QUANTITY.fullmatch(quantity)
    if parts is None or parts["suffix"] not in _SUFFIXES:
        return None
    return Decimal(parts["number"]) * _SUFFIXES[parts["suffix"]]
