"""Who may ask: keys, what they allow, and the principal that a request has once its key was checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, Self

from chatbot.domain.limits import NO_LIMITS, Limits

Network = IPv4Network | IPv6Network
CLOCK_SKEW_SECONDS: Final = 60.0
"""A key that another machine made a moment ago is valid here although this clock may be behind, seconds."""


class Scope(StrEnum):
    """What a key may do; the closed set."""

    CHAT = "chat"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_ERASE = "conversations:erase"
    DOCUMENTS = "documents"
    CHARACTERS_READ = "characters:read"
    CHARACTERS_WRITE = "characters:write"
    USAGE_READ = "usage:read"
    ADMIN = "admin"
    """Make and end keys, of every tenant; stands alone, so that such a key answers no question."""


ALL_SCOPES: Final = frozenset(Scope) - {Scope.ADMIN}
"""What a key may do where nobody says otherwise."""


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is of some networks, also as IPv6 writes one of IPv4; text that is none is nowhere."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed.version == network.version and parsed in network for network in networks)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key allows. An empty set of services, backends or networks stands for all.

    Attributes:
        services: Names of services (`office`, `character`).
        backends: Names of backends (`llama`, `openai`).
        networks: Where callers may come from.
        user: The one user that the key speaks for; None: the request names him, or his token where there is a `signer`.
        signer: Public key (PEM) of whoever signs tokens that say which user it is; "": nobody does.
        limits: How much it may ask.
    """

    scopes: frozenset[Scope] = ALL_SCOPES
    services: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    user: str | None = None
    signer: str = ""
    limits: Limits = NO_LIMITS

    def fields(self) -> dict[str, Any]:
        """As plain values: what stores, files and answers show."""
        return {
            "scopes": sorted(map(str, self.scopes)),
            "services": sorted(self.services),
            "backends": sorted(self.backends),
            "networks": [str(network) for network in self.networks],
            "user": self.user,
            "signer": self.signer,
            "limits": self.limits.fields(),
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From plain values. A scope that this version does not know opens nothing.

        Raises:
            KeyError, TypeError, ValueError: They are not what `fields` makes.
        """
        return cls(
            frozenset(scope for scope in Scope if scope in fields["scopes"]),
            frozenset(fields["services"]),
            frozenset(fields["backends"]),
            tuple(ip_network(network) for network in fields["networks"]),
            fields["user"],
            str(fields.get("signer") or ""),  # as the limits:
            Limits.parse(fields.get("limits") or {}),  # keys that were kept by an older version have none
        )

    @property
    def user_from(self) -> str:
        """Who says for which user a request is: it itself (claimed), the key (fixed), or a signed token (token)."""
        return "token" if self.signer else "claimed" if self.user is None else "fixed"

    def allows_service(self, service: str) -> bool:
        """Whether the key is for this service."""
        return not self.services or service in self.services

    def allows_backend(self, backend: str) -> bool:
        """Whether the key is for this backend."""
        return not self.backends or backend in self.backends

    def allows_address(self, address: str) -> bool:
        """Whether callers may come from this address; text that is none is nowhere."""
        return not self.networks or is_within(address, self.networks)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is kept: everything but the key itself. Times are Unix seconds.

    Attributes:
        id: Public part of the key, for logs and commands; in a mounted file of the short form its line's name.
        digest: HMAC-SHA-256 under `pepper`, or SHA-256 where that is "".
        label: For people; whatever the operator wrote.
        expires_at: None: never.
        last_used_at: Late by up to a minute; None: not yet.
        replaced_by: Id of the key that a rotation made in its place.
    """

    id: str
    tenant: str
    digest: bytes = field(repr=False)
    pepper: str = ""
    label: str = ""
    rights: Rights = Rights()
    created_at: float = 0.0
    not_before: float = 0.0
    expires_at: float | None = None
    is_disabled: bool = False
    last_used_at: float | None = None
    replaced_by: str = ""

    def is_valid_at(self, now: float) -> bool:
        """Whether the key opens anything at a time, Unix seconds."""
        if self.is_disabled or now < self.not_before - CLOCK_SKEW_SECONDS:
            return False
        return self.expires_at is None or now < self.expires_at

    def state_at(self, now: float) -> str:
        """What people are told of it: valid, rotated (valid, and another took its place), expired, revoked, not yet."""
        if self.is_disabled:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        if not self.is_valid_at(now):
            return "not yet"
        return "rotated" if self.replaced_by else "valid"

    def until(self, end: float) -> "KeyRecord":
        """The key with an end that is not later than before."""
        return replace(self, expires_at=end if self.expires_at is None else min(end, self.expires_at))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as the key tells: tenant and key; the user stands in the request or in `rights`.

    Attributes:
        tenant: "" where no keys are asked for.
        key_id: "" where no keys are asked for.
        key: The key, for its owner to see; None where there is none.
    """

    tenant: str = ""
    key_id: str = ""
    rights: Rights = Rights()
    key: KeyRecord | None = None


ANYBODY: Final = Principal()
"""Where no keys are asked for."""

GATEWAY_KEY_ID: Final = "gateway"
"""Stands for the id of a key in logs, where a gateway says who the user is."""


@dataclass(frozen=True, slots=True)
class GatewayTrust:
    """A gateway that asks people who they are, and says so in a header.

    Attributes:
        networks: Where it connects from; what it hands on of addresses is not looked at.
        header: Names the user.
        tenant: Whose user that is.
        scopes: What such a user may.
    """

    networks: tuple[Network, ...]
    header: str
    tenant: str
    scopes: frozenset[Scope]

    def believes(self, peer: str) -> bool:
        """Whether the other end of a connection is that gateway."""
        return is_within(peer, self.networks)

    def principal(self, user: str) -> Principal:
        """Who asks without a key."""
        rights = Rights(scopes=self.scopes, user=user)
        return Principal(
            self.tenant, GATEWAY_KEY_ID, rights, KeyRecord(GATEWAY_KEY_ID, self.tenant, b"", rights=rights)
        )
