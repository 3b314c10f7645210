"""From plain values, as `tenants.yaml` and `Tenant` objects have them, to policies; and what is wrong with them.

Strict: a field that this version does not know is refused, since a typing error must not lift a limit.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from chatbot.domain.generation import Backend
from chatbot.domain.limits import MOST, NO_LIMITS, Limits
from chatbot.domain.personal.retention import Retention
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Tenant, TenantLimits, WhenBudgetSpent

FIELDS: Final = (
    *("name", "generation", "uid", "suspended", "services", "backends"),
    *("limits", "shadowLimits", "keys", "privacy", "fairSharing"),
)
MOST_WEIGHT: Final = 100
SERVICES: Final = ("office", "character")
RETAINED: Final = ("conversations", "documents", "usage")
MOST_TENANTS: Final = 5000
MOST_MODELS: Final = 100
SECONDS: Final[Mapping[str, int]] = {"d": 86_400, "h": 3600, "m": 60}

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIFETIME: Final = re.compile(r"([1-9][0-9]{0,4})([dhm])")
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/@+*-]{0,127}")
_DOLLARS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?", re.ASCII)
_DAYS: Final = re.compile(r"[1-9][0-9]{0,3}d")
_PRIVACY: Final = ("localOnly", "storeConversations", "retention")
_MONEY: Final = "usdPerDay"
_MONEY_FIELD: Final = "micro_usd_per_day"
_MICROS: Final = 1_000_000


class PolicyError(ValueError):
    """A policy that cannot be used; names the tenant, the field and the remedy."""


def limit_names() -> dict[str, str]:
    """Name in a policy -> field of `Limits`: every limit that there is; money is written in dollars."""
    fields = [field.name for field in dataclasses.fields(Limits) if field.name != "account"]
    return {_MONEY if name == _MONEY_FIELD else _camel(name): name for name in fields}


def read_policies(document: Any) -> tuple[Tenant, ...]:
    """The policies of a whole file.

    Raises:
        PolicyError: As `read_policy`, or two have the same name, or there are too many.
    """
    fields = _mapping(document, "the file", ("tenants",))
    entries = fields.get("tenants")
    entries = [] if entries is None else entries
    if not isinstance(entries, list) or len(entries) > MOST_TENANTS:
        raise PolicyError(f"tenants: a list of at most {MOST_TENANTS} policies")
    found = [read_policy(entry, f"tenants[{number}]") for number, entry in enumerate(entries)]
    names = [tenant.name for tenant in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PolicyError(f"tenants: {twice[0]} is there twice; leave one of them out")
    return tuple(found)


def read_policy(entry: Any, place: str) -> Tenant:
    """One policy.

    Args:
        entry: `name` and the fields of a `Tenant` object's spec.
        place: Where it stands, for errors, until its name is known.

    Raises:
        PolicyError: It has an unknown field, or a value that it must not have.
    """
    name = entry.get("name") if isinstance(entry, Mapping) else None
    place = f"tenants[{name}]" if isinstance(name, str) and _NAME.fullmatch(name) else place
    fields = _mapping(entry, place, FIELDS)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PolicyError(f"{place}.name: the tenant's name, 1-64 letters, digits, '.', '_' and '-'")
    backends = _backends(fields.get("backends"), f"{place}.backends")
    return Tenant(
        name=name,
        generation=_number(fields.get("generation", 0), f"{place}.generation", least=0),
        uid=_text(fields.get("uid", ""), f"{place}.uid"),
        is_suspended=_flag(fields.get("suspended", False), f"{place}.suspended"),
        services=_words(fields.get("services"), f"{place}.services", SERVICES),
        limits=_limits(fields.get("limits"), f"{place}.limits"),
        longest_key_seconds=_keys(fields.get("keys"), f"{place}.keys"),
        privacy=_privacy(fields.get("privacy"), f"{place}.privacy", backends["backends"]),
        retention=_retention(fields.get("privacy"), f"{place}.privacy"),
        shadow_limits=_limits(fields.get("shadowLimits"), f"{place}.shadowLimits"),
        weight=_weight(fields.get("fairSharing"), f"{place}.fairSharing"),
        **backends,
    )


def read_lifetime(text: Any, place: str) -> float:
    """A time such as 90d, 24h or 30m, in seconds.

    Raises:
        PolicyError: It is none.
    """
    found = _LIFETIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise PolicyError(f"{place}: a number of days, hours or minutes such as 90d, 24h or 30m")
    return float(int(found[1]) * SECONDS[found[2]])


def _backends(given: Any, place: str) -> dict[str, Any]:
    fields = _mapping(given, place, ("local", "openai"))
    remote = _mapping(fields.get("openai"), f"{place}.openai", ("allowed", "models", "whenBudgetSpent"))
    is_local = _flag(fields.get("local", True), f"{place}.local")
    is_remote = _flag(remote.get("allowed", True), f"{place}.openai.allowed")
    if not is_local and not is_remote:
        raise PolicyError(f"{place}: allow one of them, or set suspended: true")
    when = remote.get("whenBudgetSpent", WhenBudgetSpent.REFUSE)
    if when not in tuple(WhenBudgetSpent):
        raise PolicyError(f"{place}.openai.whenBudgetSpent: {' or '.join(WhenBudgetSpent)}")
    models = remote.get("models")
    if models is not None and not _is_list_of(models, _PATTERN, MOST_MODELS):
        raise PolicyError(f"{place}.openai.models: 1-{MOST_MODELS} names, '*' for any characters; leave it out for all")
    allowed = {str(Backend.LLAMA): is_local, str(Backend.OPENAI): is_remote}
    return {
        "backends": frozenset() if all(allowed.values()) else frozenset(name for name in allowed if allowed[name]),
        "remote_models": frozenset(models or ()),
        "when_budget_spent": WhenBudgetSpent(when),
    }


def _limits(given: Any, place: str) -> TenantLimits:
    fields = _mapping(given, place, ("tenant", "perKey", "perUser"))
    return TenantLimits(
        tenant=_some_limits(fields.get("tenant"), f"{place}.tenant"),
        per_key=_some_limits(fields.get("perKey"), f"{place}.perKey"),
        per_user=_some_limits(fields.get("perUser"), f"{place}.perUser"),
    )


def _some_limits(given: Any, place: str) -> Limits:
    names = limit_names()
    fields = _mapping(given, place, names)
    if not fields:
        return NO_LIMITS
    values: dict[str, Any] = {}
    for name, value in fields.items():
        read = _micro_dollars if name == _MONEY else _number
        values[names[name]] = read(value, f"{place}.{name}")
    if "burst" in values and "requests_per_minute" not in values:
        raise PolicyError(f"{place}.burst: needs requestsPerMinute beside it")
    return Limits(**values)


def _keys(given: Any, place: str) -> float | None:
    fields = _mapping(given, place, ("maxLifetime",))
    longest = fields.get("maxLifetime")
    return None if longest is None else read_lifetime(longest, f"{place}.maxLifetime")


def _weight(given: Any, place: str) -> int:
    weight = _mapping(given, place, ("weight",)).get("weight", 1)
    if type(weight) is not int or not 1 <= weight <= MOST_WEIGHT:
        raise PolicyError(f"{place}.weight: a whole number from 1 to {MOST_WEIGHT}; leave it out for 1")
    return weight


def _privacy(given: Any, place: str, backends: Collection[str]) -> Privacy:
    fields = _mapping(given, place, _PRIVACY)
    is_local = _flag(fields.get("localOnly", False), f"{place}.localOnly")
    if is_local and backends and Backend.LLAMA not in backends:
        raise PolicyError(f"{place}.localOnly: needs backends.local: true, or set suspended: true")
    return Privacy(is_local, _flag(fields.get("storeConversations", True), f"{place}.storeConversations"))


def _retention(given: Any, place: str) -> Retention:
    """Days alone: an erased conversation is remembered for hours, so that an answer that was being made stays away."""
    names = _mapping(given, place, _PRIVACY).get("retention")
    fields = _mapping(names, f"{place}.retention", RETAINED)
    for name, value in fields.items():
        if not isinstance(value, str) or _DAYS.fullmatch(value) is None:
            raise PolicyError(f"{place}.retention.{name}: a number of days such as 30d; leave it out for the setting's")
    return Retention(**{name: float(int(value[:-1]) * SECONDS["d"]) for name, value in fields.items()})


def _mapping(given: Any, place: str, known: Collection[str]) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise PolicyError(f"{place}: an object with some of {', '.join(known)}")
    strange = [str(name) for name in given if name not in known]
    if strange:
        shown = strange[0][:40]
        raise PolicyError(f"{place}.{shown}: no such field; there are {', '.join(known)}")
    return given


def _words(given: Any, place: str, known: Sequence[str]) -> frozenset[str]:
    if given is None:
        return frozenset()
    if not isinstance(given, list) or not given or not all(word in known for word in given):
        raise PolicyError(f"{place}: some of {', '.join(known)}; leave it out for all, or set suspended: true for none")
    return frozenset(given)


def _flag(given: Any, place: str) -> bool:
    if not isinstance(given, bool):
        raise PolicyError(f"{place}: true or false")
    return given


def _text(given: Any, place: str) -> str:
    if not isinstance(given, str) or len(given) > 64:
        raise PolicyError(f"{place}: at most 64 characters; leave it out in a file of your own")
    return given


def _number(given: Any, place: str, least: int = 1) -> int:
    if type(given) is not int or not least <= given <= MOST:
        raise PolicyError(f"{place}: a whole number from {least} to {MOST}; leave it out for no limit")
    return given


def _micro_dollars(given: Any, place: str) -> int:
    """Exact: a binary fraction would lose parts of a micro-dollar, so it must be text."""
    is_money = isinstance(given, str) and _DOLLARS.fullmatch(given) is not None
    micros = int(Decimal(given) * _MICROS) if is_money else 0
    if not 1 <= micros <= MOST:
        raise PolicyError(
            f'{place}: US dollars as text with at most 6 decimals, for example "25.00"; leave it out for no limit'
        )
    return micros


def _is_list_of(given: Any, pattern: re.Pattern[str], most: int) -> bool:
    return (
        isinstance(given, list)
        and 1 <= len(given) <= most
        and all(isinstance(one, str) and pattern.fullmatch(one) for one in given)
    )


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
