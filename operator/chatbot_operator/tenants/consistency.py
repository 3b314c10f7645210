"""Limits that contradict each other: none of them is an error, but the greater one can never be reached."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from chatbot_operator.compiled.pages import ServedObject
from chatbot_operator.compiled.reasons import Finding
from chatbot_operator.tenants.reasons import TenantReason

_WIDER: Final = (
    ("perUser", "tenant", TenantReason.PER_USER_ABOVE_TENANT),
    ("perKey", "tenant", TenantReason.PER_KEY_ABOVE_TENANT),
    ("perUser", "perKey", TenantReason.PER_USER_ABOVE_KEY),
)
_LONGER: Final = (
    ("tokensPerMinute", "tokensPerDay"),
    ("tokensPerMinute", "tokensPerMonth"),
    ("tokensPerDay", "tokensPerMonth"),
)
_LIMITS: Final = (
    "requestsPerMinute", "tokensPerMinute", "tokensPerDay", "tokensPerMonth", "usdPerDay", "concurrent",
)  # fmt: skip


def findings(spec: Mapping[str, Any], _served: Sequence[ServedObject] = ()) -> tuple[Finding, ...]:
    """Everything that contradicts itself in a spec."""
    limits = spec.get("limits") or {}
    return tuple([*_wider(limits), *_longer(limits), *_money(spec, limits)])


def _wider(limits: Mapping[str, Any]) -> Iterator[Finding]:
    for narrow, wide, reason in _WIDER:
        for name in _LIMITS:
            if _is_above((limits.get(narrow) or {}).get(name), (limits.get(wide) or {}).get(name)):
                yield Finding(reason, f"{narrow}.{name} exceeds {wide}.{name}: lower it, or raise the other")


def _longer(limits: Mapping[str, Any]) -> Iterator[Finding]:
    for subject in ("tenant", "perKey", "perUser"):
        given = limits.get(subject) or {}
        for short, long in _LONGER:
            if _is_above(given.get(short), given.get(long)):
                text = f"{subject}.{short} exceeds {subject}.{long}: lower it, or raise the other"
                yield Finding(TenantReason.SHORTER_ABOVE_LONGER, text)


def _money(spec: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterator[Finding]:
    remote = (spec.get("backends") or {}).get("openai") or {}
    if remote.get("allowed", True):
        return
    for subject in ("tenant", "perKey", "perUser"):
        if "usdPerDay" in (limits.get(subject) or {}):
            text = f"{subject}.usdPerDay limits nothing while backends.openai.allowed is false: leave one of them out"
            yield Finding(TenantReason.NOTHING_TO_SPEND, text)


def _is_above(one: Any, other: Any) -> bool:
    """Whether both are set and the first is greater; dollars are text, the others whole numbers."""
    return one is not None and other is not None and Decimal(str(one)) > Decimal(str(other))
