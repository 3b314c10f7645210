"""From what an administrator sends to what the desk is asked, or to an error that names the field."""

from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_network
from typing import Final

from chatbot.api.admin.schemas import SERVICES, LimitFields, NewKeyFields
from chatbot.core.accounts.desk import NewKey
from chatbot.domain.access import Network, Rights, Scope
from chatbot.domain.errors import InvalidInput
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limits

ReadSigner = Callable[[str], str]
"""From the text of a public key to the form in which it is kept; ValueError where it is none."""

_SCOPES: Final = tuple(map(str, Scope))
_BACKENDS: Final = tuple(map(str, Backend))


def new_key(asked: NewKeyFields, read_signer: ReadSigner) -> NewKey:
    """A key that somebody wants.

    Raises:
        InvalidInput: A field is wrong.
    """
    chosen = _chosen("scopes", asked.scopes, _SCOPES)
    if Scope.ADMIN in chosen and len(chosen) > 1:
        raise InvalidInput("scopes", "admin_alone")
    rights = Rights(
        scopes=frozenset(map(Scope, chosen)),
        services=_chosen("services", asked.services, SERVICES),
        backends=_chosen("backends", asked.backends, _BACKENDS),
        networks=_networks(asked.networks),
        user=asked.user,
        signer=_signer(asked, read_signer),
        limits=limits_of(asked.limits, "limits."),
    )
    return NewKey(asked.tenant, rights, asked.label, asked.lifetime_seconds, asked.starts_in_seconds)


def limits_of(asked: LimitFields, place: str = "") -> Limits:
    """Limits that make sense together; `place` stands before the name of a field.

    Raises:
        InvalidInput: They do not.
    """
    if asked.burst is not None and asked.requests_per_minute is None:
        raise InvalidInput(f"{place}requests_per_minute", "required")
    return Limits.parse(asked.model_dump(exclude_none=True))


def _chosen(field: str, words: Sequence[str], known: Collection[str]) -> frozenset[str]:
    if not set(words) <= set(known):
        raise InvalidInput(field, "wrong_choice", allowed=", ".join(known))
    return frozenset(words)


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    try:
        return tuple(map(ip_network, texts))
    except ValueError:
        raise InvalidInput("networks", "not_networks") from None


def _signer(asked: NewKeyFields, read: ReadSigner) -> str:
    if asked.signer is None:
        return ""
    if asked.user is not None:
        raise InvalidInput("signer", "user_and_signer")
    try:
        return read(asked.signer)
    except ValueError:
        raise InvalidInput("signer", "not_public_key") from None
