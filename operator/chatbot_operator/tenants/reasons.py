"""Conditions of a Tenant and their reasons, with what each says: docs/conditions.md is made from it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class TenantCondition(StrEnum):
    """Conditions of a Tenant; True is well."""

    READY = "Ready"
    LIMITS_CONSISTENT = "LimitsConsistent"


class TenantReason(StrEnum):
    """Why a condition is as it is."""

    APPLIED = "Applied"
    NO_CONSUMER = "NoConsumer"
    PROGRESSING = "Progressing"
    NO_ANSWER = "NoAnswer"
    REJECTED = "Rejected"
    TOO_LARGE = "TooLarge"
    WRITE_REFUSED = "WriteRefused"

    CONSISTENT = "Consistent"
    PER_USER_ABOVE_TENANT = "PerUserAboveTenant"
    PER_KEY_ABOVE_TENANT = "PerKeyAboveTenant"
    PER_USER_ABOVE_KEY = "PerUserAboveKey"
    SHORTER_ABOVE_LONGER = "ShorterAboveLonger"
    NOTHING_TO_SPEND = "NothingToSpend"


MEANINGS: Final[Mapping[TenantReason, str]] = {
    TenantReason.APPLIED: "Every ready pod that mounts the policies serves this generation.",
    TenantReason.NO_CONSUMER: "The policy is in the ConfigMap; nobody mounts it. True all the same.",
    TenantReason.PROGRESSING: "Some pods serve an older generation. The kubelet brings a change within about a minute.",
    TenantReason.NO_ANSWER: "A ready pod does not say at `:9090/policy` what it serves.",
    TenantReason.REJECTED: "A pod cannot read the file and keeps the policies it had; the message is the pod's.",
    TenantReason.TOO_LARGE: "All Tenants of the namespace together do not fit into one ConfigMap; it stays as it was.",
    TenantReason.WRITE_REFUSED: "The API server refused to write the ConfigMap; the message is the API server's.",
    TenantReason.CONSISTENT: "No limit contradicts another.",
    TenantReason.PER_USER_ABOVE_TENANT: "A limit of one user is above that of the whole tenant, which holds first.",
    TenantReason.PER_KEY_ABOVE_TENANT: "A limit of one key is above that of the whole tenant, which holds first.",
    TenantReason.PER_USER_ABOVE_KEY: "A limit of one user is above that of a key, which holds first.",
    TenantReason.SHORTER_ABOVE_LONGER: "A limit of a shorter time is above that of a longer one, which holds first.",
    TenantReason.NOTHING_TO_SPEND: "Money is limited where no backend that costs money is allowed.",
}
READY_REASONS: Final = tuple(TenantReason)[:7]
"""Of `Ready`; the others are of `LimitsConsistent`."""
