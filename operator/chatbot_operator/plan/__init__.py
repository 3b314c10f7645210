"""Planning: what is observed goes in, what shall be done comes out. Pure: no client, no clock, nothing remembered.

Everything that has to survive the operator is in the status, which is written before the actions are carried out.
So killing the operator after any of its writes, and planning again, leads to the same end (docs/adr/0009).
"""

from dataclasses import replace
from datetime import datetime

from chatbot_operator.actions import Plan
from chatbot_operator.observed import Observed
from chatbot_operator.plan.document import status_from_dict, status_to_dict
from chatbot_operator.plan.download import plan_download
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.phase import phase
from chatbot_operator.plan.rollout import plan_rollout
from chatbot_operator.plan.storage import plan_storage
from chatbot_operator.plan.summary import say_unseen, summarize
from chatbot_operator.resources import Model

__all__ = ["phase", "plan", "plan_blind", "status_from_dict", "status_to_dict"]


def plan(model: Model, observed: Observed, now: datetime) -> Plan:
    """Decide what to do about a Model.

    Args:
        model: As it was read, with the status that was written last.
        observed: What the cluster shows, read after the Model.
        now: UTC.

    Returns:
        The status to write first, then the actions, then the Events. Nothing changes for a Model that is being
        deleted: its objects go, or stay, by their ownerReferences.
    """
    if model.deleting:
        return Plan(model.status)
    draft = Draft.start(model, observed, now)
    plan_storage(draft)
    plan_download(draft)
    plan_rollout(draft)
    summarize(draft)
    return draft.finish()


def plan_blind(model: Model, detail: str, now: datetime) -> Plan:
    """Decide what to say about a Model whose surroundings may not be read: nothing is done, nothing is forgotten.

    Args:
        model: As it was read.
        detail: What may not be read.
        now: UTC.

    Returns:
        A status that says so, and the Event where it is new.
    """
    draft = Draft.start(model, Observed(), now)
    say_unseen(draft, detail)
    made = draft.finish()
    status = replace(
        made.status, observed_generation=model.status.observed_generation, consumers=model.status.consumers
    )
    return replace(made, status=status)
