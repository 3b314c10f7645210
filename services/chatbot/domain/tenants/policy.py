"""The policy of a tenant: what its keys and users may, and how much; and the port of whoever knows it now."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Protocol

from chatbot.domain.access import KeyRecord, Principal
from chatbot.domain.errors import ServiceNotAllowed, TenantSuspended
from chatbot.domain.generation import Backend
from chatbot.domain.limits import NO_LIMITS, Limits
from chatbot.domain.personal.retention import AS_SET, Retention
from chatbot.domain.privacy.flags import UNBOUND, Privacy

DEFAULT_TENANT: Final = "default"
"""Name of the policy that holds for callers without a key, and for tenants that have none of their own."""

NONE: Final = "none"
"""In a set where the empty one stands for all: nothing at all. No service and no backend has this name."""


class WhenBudgetSpent(StrEnum):
    """What becomes of a request to the second backend when the day's money is spent."""

    REFUSE = "Refuse"
    LOCAL = "Local"


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """How much; all that are set hold at once.

    Attributes:
        tenant: All of the tenant's keys and users together.
        per_key: Each key, where it has no limits of its own.
        per_user: Each user.
    """

    tenant: Limits = NO_LIMITS
    per_key: Limits = NO_LIMITS
    per_user: Limits = NO_LIMITS

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return bool(self.tenant or self.per_key or self.per_user)


NO_TENANT_LIMITS: Final = TenantLimits()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A policy. As it is made without arguments it forbids nothing. An empty set stands for all.

    Attributes:
        name: "" where no policy is configured at all.
        generation: Of the object that it was made from; 0 in a file that a person wrote.
        uid: Of that object; "" as above.
        is_suspended: Nobody of the tenant may do anything.
        services: Names of services that may be asked.
        backends: Names of backends that may answer.
        remote_models: Models of the second backend; `*` stands for any characters.
        when_budget_spent: As it says.
        longest_key_seconds: No key is valid for longer than this after it was made; None: as its own end says.
        privacy: Holds for every request of the tenant, whatever the request says.
        retention: For how long what is kept about its users is kept.
        shadow_limits: Refuse nothing: what they would refuse is counted.
        weight: Requests that it has served in one turn of the waiting line, where others wait.
    """

    name: str = ""
    generation: int = 0
    uid: str = ""
    is_suspended: bool = False
    services: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    remote_models: frozenset[str] = frozenset()
    when_budget_spent: WhenBudgetSpent = WhenBudgetSpent.REFUSE
    limits: TenantLimits = NO_TENANT_LIMITS
    longest_key_seconds: float | None = None
    privacy: Privacy = UNBOUND
    retention: Retention = AS_SET
    shadow_limits: TenantLimits = NO_TENANT_LIMITS
    weight: int = 1

    def admit(self, principal: Principal, service: str, remote_model: str = "") -> Principal:
        """The principal with what key and tenant both allow.

        Args:
            principal: As the key says.
            service: Name of the service that is asked.
            remote_model: What the second backend serves; "" where there is none.

        Raises:
            TenantSuspended: As it says.
            ServiceNotAllowed: The service is not the tenant's.
        """
        if self.is_suspended:
            raise TenantSuspended
        if self.services and service not in self.services:
            raise ServiceNotAllowed
        ours, theirs = self._backends(remote_model), principal.rights.backends
        if not ours:
            return principal
        both = theirs & ours if theirs else ours
        return replace(principal, rights=replace(principal.rights, backends=both or frozenset({NONE})))

    def allows_key(self, key: KeyRecord, now: float) -> bool:
        """Whether a key has not been valid for too long.

        One of a mounted file does not say when it was made: it counts from its `not_before`, and without that it must
        end soon enough from now.
        """
        longest = self.longest_key_seconds
        if longest is None:
            return True
        made_at = key.created_at or key.not_before
        if made_at:
            return now < made_at + longest
        return key.expires_at is not None and key.expires_at <= now + longest

    def _backends(self, remote_model: str) -> frozenset[str]:
        """Those that may answer; empty: all."""
        is_remote_allowed = not self.privacy.local_only and (not remote_model or self._allows_model(remote_model))
        if is_remote_allowed:
            return self.backends
        local = frozenset({str(Backend.LLAMA)})
        return (self.backends & local or frozenset({NONE})) if self.backends else local

    def _allows_model(self, model: str) -> bool:
        return not self.remote_models or any(fnmatchcase(model, pattern) for pattern in self.remote_models)


UNRESTRICTED: Final = Tenant()
"""Where no policy is configured."""


class Tenants(Protocol):
    """Who knows the policies that hold now."""

    def of(self, tenant: str) -> Tenant:
        """The policy of a tenant: its own, else the default one, else one that forbids nothing. Never waits.

        The default one is each such tenant's by itself: what they use is not added up.
        """


class Policies:
    """`Tenants` of one moment."""

    def __init__(self, tenants: Iterable[Tenant] = ()) -> None:
        self._by_name = {tenant.name: tenant for tenant in tenants}
        self._default = self._by_name.get(DEFAULT_TENANT, UNRESTRICTED)

    def of(self, tenant: str) -> Tenant:
        """See `Tenants`."""
        return self._by_name.get(tenant, self._default)

    def all(self) -> tuple[Tenant, ...]:
        """Every policy, by name."""
        return tuple(self._by_name[name] for name in sorted(self._by_name))


NO_POLICIES: Final = Policies()


class PolicyState(StrEnum):
    """What the policies that hold are."""

    NONE = "none"
    SERVING = "serving"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """What `GET :9090/policy` answers.

    Attributes:
        state: Nothing was ever configured; what the file says; or what it said before it broke or vanished.
        digest: First 16 hex digits of the SHA-256 of the file that holds; "" where none does.
        since: When it began to hold, UTC.
        message: Why the file as it is now does not hold, with the remedy; "" where it does.
    """

    state: PolicyState
    digest: str
    since: datetime
    message: str = ""
    policies: Policies = NO_POLICIES
