"""Tenants as a compiled kind."""

from typing import Final

from chatbot_operator import names
from chatbot_operator.cluster.api import TENANTS as KIND
from chatbot_operator.compiled.bundle import Bundle
from chatbot_operator.tenants.consistency import findings
from chatbot_operator.tenants.reasons import LIMITS_CONSISTENT, TenantReason

TENANTS: Final = Bundle(
    kind=KIND,
    config_map=names.TENANTS_CONFIG_MAP,
    file="tenants.yaml",
    label=names.TENANTS_LABEL,
    page="policy",
    setting="CHATBOT_TENANTS_FILE",
    second=(LIMITS_CONSISTENT, TenantReason.CONSISTENT),
    check=findings,
)
