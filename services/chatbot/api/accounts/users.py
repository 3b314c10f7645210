"""For which user a request is: the one whom it names, or the one whom its key is bound to."""

from dataclasses import replace

from fastapi import Request

from chatbot.api.service import parts_of
from chatbot.api.wire.context import context_of
from chatbot.domain.access import Principal
from chatbot.domain.chat import Caller
from chatbot.domain.errors import UserMismatch
from chatbot.domain.limits import NO_LIMITS, Limits


def bound_user(request: Request) -> str | None:
    """The one user that the request's key speaks for; None where the request names him."""
    return context_of(request.scope).principal.rights.user


def check_claim(request: Request, claimed: str | None, field: str) -> None:
    """Refuse a request that names another user than its key does.

    Raises:
        UserMismatch: It does, in `field`.
    """
    bound = bound_user(request)
    if bound is not None and claimed is not None and claimed != bound:
        raise UserMismatch(field)


def caller_of(request: Request, user: str) -> Caller:
    """Tenant, key and user of a request; from here on its log line has the user's pseudonym."""
    context = context_of(request.scope)
    context.pseudonym = parts_of(request).keys.pseudonym(context.principal.tenant, user)
    return Caller(context.principal.tenant, user, context.principal.key_id, limits_of(context.principal))


def limits_of(principal: Principal) -> Limits:
    """The limits of a key, with the account that they are counted on: its own, unless a rotation made it."""
    limits = principal.rights.limits
    return replace(limits, account=limits.account or principal.key_id) if limits else NO_LIMITS
