"""`GET /usage`: what a key, or its whole tenant, took and what that cost."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from chatbot.api.accounts.auditing import recorded
from chatbot.api.service import Parts, parts_of
from chatbot.api.wire.context import context_of
from chatbot.core.audit.audit import Deed
from chatbot.core.usage.recorder import Recorder
from chatbot.domain.access import Principal, Scope
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.errors import InvalidInput, NotFound, ScopeMissing, StoreUnavailable
from chatbot.domain.usage.rows import MOST_GROUPS, Ask, Group, Sums

router = APIRouter(tags=["operations"])
MOST_DAYS: Final = 400
USUAL_DAYS: Final = 30
FORMATS: Final = ("json", "csv")
_NO_STORE: Final = {"Cache-Control": "no-store"}


class UsageSums(BaseModel):
    """Counts of several requests. `prompt_tokens` are with those that were cached; `cost_usd` has six decimals.

    `unpriced_requests` have tokens that the price table does not know, `estimated_requests` counts that nobody told.
    """

    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    tool_calls: int
    cost_usd: str
    unpriced_requests: int
    estimated_requests: int


class UsageLine(UsageSums):
    """The sums of one group; of the group's names those that were asked for."""

    day: str | None = None
    key: str | None = None
    service: str | None = None
    backend: str | None = None
    model: str | None = None
    outcome: str | None = None
    route: str | None = None
    user: str | None = None


class UsageReport(BaseModel):
    """Sums of some days, both included, UTC. `is_cut`: there are more than 10,000 groups, and no sums of all."""

    model_config = ConfigDict(populate_by_name=True)

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    group_by: list[str]
    rows: list[UsageLine]
    is_cut: bool
    total: UsageSums | None


class OwnUsage(BaseModel):
    """What a key took today and in this month, UTC."""

    today: UsageSums
    month: UsageSums


@router.get("/usage", operation_id="readUsage", summary="What requests took", response_model=UsageReport)
async def usage(request: Request) -> Response:
    """Sums of requests: of the whole tenant with the scope `usage:read`, else of this key alone.

    Query: `from` and `to` (days, UTC; the last 30 by default), `group_by` (of day, key, service, backend, model,
    outcome, route, user, with commas between; the last two only of days whose single requests are still kept) and
    `format` (json or csv). Rows of the last second may still be missing.
    """
    parts, principal = parts_of(request), context_of(request.scope).principal
    if parts.usage is None:
        raise NotFound
    first, last = _days(request)
    by, wanted = _groups(request), _choice(request, "format", FORMATS, "json")
    key, user = _whose(principal, parts)
    is_of_all = principal.key_id and key is None and user is None
    async with recorded(parts.audit if is_of_all else None, request, Deed(AuditAction.USAGE_READ, principal.tenant)):
        found = await parts.usage.report(Ask(principal.tenant, first, last, by, key, user))
    lines = [_line(group, sums) for group, sums in found[:MOST_GROUPS]]
    if wanted == "csv":
        return Response(_csv(by, lines), media_type="text/csv", headers=_NO_STORE)
    is_cut = len(found) > MOST_GROUPS
    total = None if is_cut else _sums(sum((sums for _, sums in found), Sums()))
    view = UsageReport(first=first, last=last, group_by=list(map(str, by)), rows=lines, is_cut=is_cut, total=total)
    return Response(
        view.model_dump_json(by_alias=True, exclude_unset=True), media_type="application/json", headers=_NO_STORE
    )


async def own_usage(recorder: Recorder | None, principal: Principal, pseudonym: str) -> OwnUsage | None:
    """What the owner of a key took; None where that is not recorded, cannot be told apart or cannot be read now."""
    key, user = _own(principal, pseudonym)
    if recorder is None or (principal.key_id and key is None and user is None):
        return None
    today = datetime.now(UTC).date()
    ask = Ask(principal.tenant, today.replace(day=1), today, (Group.DAY,), key, user)
    try:
        found = await recorder.report(ask)
    except StoreUnavailable:
        return None
    of_today = (sums for group, sums in found if group[Group.DAY] == str(today))
    return OwnUsage(today=_sums(sum(of_today, Sums())), month=_sums(sum((sums for _, sums in found), Sums())))


def _whose(principal: Principal, parts: Parts) -> tuple[str | None, str | None]:
    """The key or the pseudonym that a report is narrowed to.

    Raises:
        ScopeMissing: The key may see its own use alone, and that cannot be told apart.
    """
    rights = principal.rights
    if Scope.USAGE_READ in rights.scopes:
        return None, None
    pseudonym = parts.keys.pseudonym(principal.tenant, rights.user) if rights.user is not None else ""
    key, user = _own(principal, pseudonym)
    if key is None and user is None:
        raise ScopeMissing(Scope.USAGE_READ)
    return key, user


def _own(principal: Principal, pseudonym: str) -> tuple[str | None, str | None]:
    """Tokens of an issuer are all one key, so of them the user is told apart, where there is a secret to do it with."""
    key = principal.key
    if key is not None and key.digest:
        return principal.key_id, None
    return None, pseudonym or None


def _days(request: Request) -> tuple[date, date]:
    last = _day(request, "to", datetime.now(UTC).date())
    first = _day(request, "from", date.fromordinal(max(1, last.toordinal() - USUAL_DAYS + 1)))
    if first > last:
        raise InvalidInput("from", "after_to")
    if (last - first).days >= MOST_DAYS:
        raise InvalidInput("from", "too_many_days", maximum=MOST_DAYS)
    return first, last


def _day(request: Request, name: str, usual: date) -> date:
    given = request.query_params.get(name)
    if given is None:
        return usual
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise InvalidInput(name, "not_day") from None


def _groups(request: Request) -> tuple[Group, ...]:
    names = [name for name in request.query_params.get("group_by", "day").split(",") if name]
    allowed = [str(group) for group in Group]
    if not set(names) <= set(allowed):
        raise InvalidInput("group_by", "wrong_choice", allowed=", ".join(allowed))
    return tuple(Group(name) for name in dict.fromkeys(names))


def _choice(request: Request, name: str, allowed: tuple[str, ...], usual: str) -> str:
    given = request.query_params.get(name, usual)
    if given not in allowed:
        raise InvalidInput(name, "wrong_choice", allowed=", ".join(allowed))
    return given


def _fields(sums: Sums) -> dict[str, int | str]:
    return {
        "requests": sums.requests,
        "prompt_tokens": sums.prompt_tokens,
        "cached_tokens": sums.cached_tokens,
        "completion_tokens": sums.completion_tokens,
        "tool_calls": sums.tool_calls,
        "cost_usd": f"{sums.micro_usd // 1_000_000}.{sums.micro_usd % 1_000_000:06d}",
        "unpriced_requests": sums.unpriced,
        "estimated_requests": sums.estimated,
    }


def _sums(sums: Sums) -> UsageSums:
    return UsageSums.model_validate(_fields(sums))


def _line(group: Mapping[Group, str], sums: Sums) -> UsageLine:
    return UsageLine.model_validate({str(name): value for name, value in group.items()} | _fields(sums))


def _csv(by: tuple[Group, ...], lines: Iterable[UsageLine]) -> str:
    """RFC 4180. A cell that a spreadsheet would calculate begins with an apostrophe."""
    names = [*map(str, by), *UsageSums.model_fields]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for line in lines:
        cells = (str(getattr(line, name)) for name in names)
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells])
    return text.getvalue()
