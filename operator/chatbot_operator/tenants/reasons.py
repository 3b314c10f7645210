"""The second condition of a Tenant and its reasons, with what each says: docs/conditions.md is made from it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

LIMITS_CONSISTENT: Final = "LimitsConsistent"
"""True is well: no limit contradicts another. All hold in any case."""


class TenantReason(StrEnum):
    """Why `LimitsConsistent` is as it is; those of `Ready` are of every compiled kind."""

    CONSISTENT = "Consistent"
    PER_USER_ABOVE_TENANT = "PerUserAboveTenant"
    PER_KEY_ABOVE_TENANT = "PerKeyAboveTenant"
    PER_USER_ABOVE_KEY = "PerUserAboveKey"
    SHORTER_ABOVE_LONGER = "ShorterAboveLonger"
    NOTHING_TO_SPEND = "NothingToSpend"


MEANINGS: Final[Mapping[TenantReason, str]] = {
    TenantReason.CONSISTENT: "No limit contradicts another.",
    TenantReason.PER_USER_ABOVE_TENANT: "A limit of one user is above that of the whole tenant, which holds first.",
    TenantReason.PER_KEY_ABOVE_TENANT: "A limit of one key is above that of the whole tenant, which holds first.",
    TenantReason.PER_USER_ABOVE_KEY: "A limit of one user is above that of a key, which holds first.",
    TenantReason.SHORTER_ABOVE_LONGER: "A limit of a shorter time is above that of a longer one, which holds first.",
    TenantReason.NOTHING_TO_SPEND: "Money is limited where no backend that costs money is allowed.",
}
