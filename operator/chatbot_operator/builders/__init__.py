"""Plain documents for the API server, made from planned actions. No client, no cluster, no clock."""

from chatbot_operator.builders.claim import claim, claim_size
from chatbot_operator.builders.event import event
from chatbot_operator.builders.job import JobSettings, job
from chatbot_operator.builders.marks import (
    config_map,
    no_template_annotation,
    ownership,
    pod_annotation,
    template_annotation,
)

__all__ = [
    "JobSettings",
    "claim",
    "claim_size",
    "config_map",
    "event",
    "job",
    "no_template_annotation",
    "ownership",
    "pod_annotation",
    "template_annotation",
]
