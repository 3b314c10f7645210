"""`GET /key`: what the owner of a key can see of it."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.usage_report import OwnUsage, own_usage
from chatbot.api.accounts.users import limited_of
from chatbot.api.service import parts_of
from chatbot.api.wire.context import context_of
from chatbot.domain.access import GATEWAY_KEY_ID, KeyRecord, Principal
from chatbot.domain.limits import NO_QUOTA, Standing

router = APIRouter(tags=["operations"])


class LimitView(BaseModel):
    """One limit of a key, its tenant or its user; `subject` says whose, and other than a key's begin with it.

    `resets_in` is seconds until there is more, or until the window is new. Money is in micro-dollars.
    """

    policy: str
    subject: str
    quota: int
    used: int
    remaining: int
    resets_in: float


class KeyView(BaseModel):
    """A key, never the key itself. Empty lists of services, backends and networks stand for all, of limits for none.

    `user_from` is who says for which user a request is: the request (claimed), the key (fixed), a signed token, or the
    gateway in front.
    """

    id: str | None
    tenant: str
    label: str
    scopes: list[str]
    services: list[str]
    backends: list[str]
    networks: list[str]
    user: str | None
    user_from: str
    limits: list[LimitView]
    usage: OwnUsage | None
    not_before: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None


@router.get("/key", operation_id="ownKey", summary="Your API key", response_model=KeyView)
async def own_key(request: Request) -> Response:
    """What the key of this request is and may. `id` is null where no keys are asked for."""
    principal = context_of(request.scope).principal
    key = principal.key or KeyRecord("", "", b"")
    parts, user = parts_of(request), principal.rights.user
    pseudonym = "" if user is None else parts.keys.pseudonym(principal.tenant, user)
    limited = limited_of(principal, parts.tenants.of(principal.tenant).limits, user, pseudonym)
    quota = await parts.limiter.quota(limited) if parts.limiter is not None else NO_QUOTA
    view = KeyView(
        id=principal.key_id or None,
        tenant=principal.tenant,
        label=key.label,
        usage=await own_usage(parts.usage, principal, pseudonym),
        not_before=_moment(key.not_before or None),
        expires_at=_moment(key.expires_at),
        last_used_at=_moment(key.last_used_at),
        user_from=_user_from(principal),
        **principal.rights.fields() | {"limits": [_limit(standing) for standing in quota.standings]},
    )
    return Response(view.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


def _user_from(principal: Principal) -> str:
    if principal.key_id == GATEWAY_KEY_ID:
        return "gateway"
    return "token" if principal.key is not None and not principal.key.digest else principal.rights.user_from


def _limit(standing: Standing) -> LimitView:
    return LimitView(
        policy=standing.name,
        subject=str(standing.subject),
        quota=standing.quota,
        used=standing.used,
        remaining=standing.remaining,
        resets_in=round(standing.resets_seconds, 1),
    )


def _moment(unix_seconds: float | None) -> datetime | None:
    return None if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC)
