"""For which user a request is: the one whom it names, or the one whom its key is bound to."""

import time
from dataclasses import replace
from functools import partial

from fastapi import Request

from chatbot.api.service import parts_of
from chatbot.api.wire.context import context_of
from chatbot.domain.access import Principal
from chatbot.domain.chat import Caller
from chatbot.domain.errors import UserMismatch
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limited, Subject, account_name, user_name
from chatbot.domain.tenants.policy import TenantLimits, WhenBudgetSpent


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
    principal, parts = context.principal, parts_of(request)
    context.pseudonym = parts.keys.pseudonym(principal.tenant, user)
    tenant = parts.tenants.of(principal.tenant)
    goes_local = tenant.when_budget_spent is WhenBudgetSpent.LOCAL and principal.rights.allows_backend(Backend.LLAMA)
    limited = limited_of(principal, tenant.limits, user, context.pseudonym)
    context.is_erased = partial(parts.guard.erased_since, principal.tenant, user, time.time())
    erasures = parts.guard.epoch(principal.tenant, user)
    shadows: tuple[Limited, ...] = ()
    if tenant.shadow_limits:
        shadows = limited_of(principal, tenant.shadow_limits, user, context.pseudonym, is_shadow=True)
    who = (principal.tenant, user, principal.key_id)
    return Caller(*who, limited, goes_local, erasures, context.pseudonym, tenant.weight, shadows)


def name_conversation(request: Request, caller: Caller, db_id: str | None) -> None:
    """Let the request's trace say which conversation it is of, by a pseudonym; nothing where nobody follows it."""
    context = context_of(request.scope)
    if context.trace is not None and db_id is not None:
        # No user's id has a NUL in it, so no user has the pseudonym of a conversation.
        pseudonym = parts_of(request).keys.pseudonym(caller.tenant, f"{caller.user}\0{db_id}")
        context.conversation = pseudonym.replace("u_", "c_", 1)


def limited_of(
    principal: Principal, policy: TenantLimits, user: str | None, pseudonym: str = "", *, is_shadow: bool = False
) -> tuple[Limited, ...]:
    """Whose use is counted for a request, from narrow to wide, with the accounts that it is counted on.

    A key's own limits take the place of those that its tenant gives to each. Tokens of an issuer are no keys that
    anybody made: those of one user are one. Who needs no key has none.

    Args:
        principal: Who asks.
        policy: What the tenant says.
        user: None where it is not known.
        pseudonym: What stands for the user, "" where no secret makes one: then a digest does.
        is_shadow: Whether the policy's limits refuse nothing; a key's own have no shadow.
    """
    tenant, key = principal.tenant, principal.key
    name = user_name(tenant, user, pseudonym)
    rights = principal.rights.limits
    account = rights.account or principal.key_id
    if key is not None and not key.digest:
        account = name
    of_key = policy.per_key if is_shadow else rights or policy.per_key
    found = [(Subject.KEY, of_key, account)] if principal.key_id else []
    if user is not None:
        found.insert(0, (Subject.USER, policy.per_user, name))
    found.append((Subject.TENANT, policy.tenant, tenant))
    return tuple(
        Limited(subject, replace(limits, account=account_name(subject, account, is_shadow=is_shadow)), is_shadow)
        for subject, limits, account in found
        if limits
    )
