"""Claims and ConfigMaps, and which revisions of a claim a Model wants to stay."""

from typing import Any

from chatbot_operator import names
from chatbot_operator.cluster import problems
from chatbot_operator.observed import Claim
from chatbot_operator.resources import Model

Document = dict[str, Any]


def claim(document: Document, model: Model) -> Claim:
    """A claim as planning sees it."""
    return Claim(
        name=document["metadata"]["name"],
        phase=document.get("status", {}).get("phase", "Pending"),
        size=document["spec"].get("resources", {}).get("requests", {}).get("storage", ""),
        access_modes=tuple(document["spec"].get("accessModes", ())),
        owned=is_owned(document, model),
        problem=problems.of_claim(document),
    )


def is_owned(document: Document, model: Model) -> bool:
    """Whether the Model's ownerReference is on an object."""
    return any(owner["uid"] == model.uid for owner in document["metadata"].get("ownerReferences", ()))


def claim_of(model: Model) -> str:
    """Name of the claim that a Model's revisions are on."""
    return model.spec.storage.existing_claim or names.claim_name(model.name)


def claim_named_in(document: Document) -> str:
    """The same of a Model as it was read."""
    return str(document["spec"]["storage"].get("existingClaim") or names.claim_name(document["metadata"]["name"]))


def revisions_of(model: Model) -> set[str]:
    """Revisions that a Model wants to stay: target, last good, and the newest good ones."""
    status, limit = model.status, model.spec.revision_history_limit
    good = [entry.revision for entry in status.history if entry.state == "Good"]
    return {model.spec.source.sha256[:16], status.revision, status.last_good_revision, *good[: limit + 1]} - {""}
