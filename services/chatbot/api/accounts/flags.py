"""What must not be done with a request's words: what its tenant, its key and it itself say, the strictest of all."""

from typing import Protocol

from fastapi import Request

from chatbot.api.service import parts_of
from chatbot.api.wire.context import context_of
from chatbot.domain.errors import InvalidInput
from chatbot.domain.generation import Backend
from chatbot.domain.privacy.flags import UNBOUND, Privacy


class PrivacyFields(Protocol):
    """What a request may say of itself."""

    @property
    def local_only(self) -> bool:
        """Never leave the house."""

    @property
    def store(self) -> bool:
        """Whether the turn may be kept."""

    @property
    def no_memory(self) -> bool:
        """Tell the model nothing of what was said before."""


def privacy_of(request: Request, asked: PrivacyFields | None = None) -> Privacy:
    """What holds for a request; the conversation may be stricter still.

    Args:
        request: Its principal was admitted: a key, or a tenant, without the second backend stays in the house.
        asked: What the request says of itself; None where it cannot.
    """
    principal = context_of(request.scope).principal
    key = Privacy(local_only=not principal.rights.allows_backend(Backend.OPENAI))
    own = UNBOUND if asked is None else Privacy(asked.local_only, asked.store, not asked.no_memory)
    return parts_of(request).tenants.of(principal.tenant).privacy.stricter(key, own)


def check_place(backend: Backend, *, is_local_only: bool) -> None:
    """Refuse a model elsewhere for words that must not leave the house.

    Raises:
        InvalidInput: It is elsewhere.
    """
    if is_local_only and backend is not Backend.LLAMA:
        raise InvalidInput("local_only", "model_elsewhere")
