"""`/conversations`: a user's conversations, to list, to read and to erase.

The user is in the header `X-User-ID` (UTF-8, percent-encoded), never in the URL, where logs would keep it.
"""

from datetime import datetime
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.users import bound_user, caller_of, check_claim
from chatbot.api.schemas import check_db_id, check_user_id
from chatbot.api.service import parts_of, profile_of
from chatbot.domain.chat import Caller, ConversationKey
from chatbot.domain.errors import ConversationNotFound, InvalidInput

router = APIRouter(prefix="/conversations", tags=["conversations"])
USER_HEADER = "X-User-ID"


class ConversationLine(BaseModel):
    """One conversation of a page."""

    db_id: str
    turns: int
    updated_at: datetime


class ConversationPage(BaseModel):
    """A page. `next_after` is the `after` of the next page, null on the last."""

    conversations: list[ConversationLine]
    next_after: str | None


class TurnView(BaseModel):
    """One question with its answer."""

    turn_id: str
    question: str
    answer: str
    at: datetime


class SummaryView(BaseModel):
    """What a model wrote down of the oldest turns; it is told in their place.

    `turns`: how many, `model`: which one, `at`: when.
    """

    text: str
    turns: int
    model: str
    at: datetime


class ConversationView(BaseModel):
    """A conversation, oldest turn first. `summary` is there once one was made."""

    db_id: str
    local_only: bool
    turns: list[TurnView]
    summary: SummaryView | None = None


@router.get("", operation_id="listConversations", summary="List conversations", response_model=ConversationPage)
async def listing(request: Request) -> Response:
    """One page, ordered by `db_id`. Query: `limit` 1-100 (default 20), `after` the last `db_id` of the page before."""
    caller = caller_of_header(request)
    limit, after = page_of(request)
    found = await parts_of(request).history.listing(caller, limit=limit + 1, after=after)
    lines = [ConversationLine(db_id=one.db_id, turns=one.turns, updated_at=one.updated_at) for one in found[:limit]]
    return _json(ConversationPage(conversations=lines, next_after=lines[-1].db_id if len(found) > limit else None))


@router.get("/{db_id}", operation_id="readConversation", summary="Read one", response_model=ConversationView)
async def read(request: Request, db_id: str) -> Response:
    """All turns that are kept."""
    key = _key(request, db_id)
    found = await parts_of(request).history.read(key)
    if not found.turns:
        raise ConversationNotFound
    turns = [TurnView(turn_id=t.turn_id, question=t.question, answer=t.answer, at=t.at) for t in found.turns]
    made = found.summary
    summary = SummaryView(text=made.text, turns=made.turns, model=made.model, at=made.at) if made is not None else None
    view = ConversationView(db_id=key.db_id, local_only=found.local_only, turns=turns, summary=summary)
    return _json(view, exclude_none=True)


@router.delete("/{db_id}", operation_id="eraseConversation", summary="Erase one", status_code=204)
async def erase(request: Request, db_id: str) -> Response:
    """Always 204; it also beats an answer that is being made."""
    await parts_of(request).history.erase(_key(request, db_id))
    return Response(status_code=204)


def _key(request: Request, db_id: str) -> ConversationKey:
    return ConversationKey(profile_of(request).name, caller_of_header(request), check_db_id(db_id))


def caller_of_header(request: Request) -> Caller:
    """Whose things a request without a body is about: of `X-User-ID`, or of the key that is bound to one user.

    Raises:
        InvalidInput: The header is missing or wrong.
        UserMismatch: The key speaks for another user.
    """
    bound = bound_user(request)
    if bound is not None and USER_HEADER not in request.headers:
        return caller_of(request, bound)
    user = user_of_header(request)
    check_claim(request, user, USER_HEADER)
    return caller_of(request, user)


def user_of_header(request: Request) -> str:
    """The user that `X-User-ID` names.

    Raises:
        InvalidInput: It is missing, sent twice, not percent-encoded UTF-8, or no user id.
    """
    values = request.headers.getlist(USER_HEADER)
    if not values:
        raise InvalidInput(USER_HEADER, "required")
    if len(values) > 1:
        raise InvalidInput(USER_HEADER, "sent_twice")
    try:
        user = unquote_to_bytes(values[0].encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise InvalidInput(USER_HEADER, "bad_percent_encoding") from None
    return check_user_id(user, USER_HEADER)


def page_of(request: Request) -> tuple[int, str]:
    """How many lines of a listing, and after which name; from the query.

    Raises:
        InvalidInput: One of them is wrong.
    """
    limit = limit_of(request)
    after = request.query_params.get("after", "")
    if after:
        check_db_id(after, "after")
    return limit, after


def limit_of(request: Request) -> int:
    """How many lines of a listing are wanted.

    Raises:
        InvalidInput: Not from 1 to 100.
    """
    value = request.query_params.get("limit", "20")
    if not (value.isascii() and value.isdigit() and len(value) <= 4):
        raise InvalidInput("limit", "not_integer")
    limit = int(value)
    if limit < 1:
        raise InvalidInput("limit", "too_small", minimum=1)
    if limit > 100:
        raise InvalidInput("limit", "too_large", maximum=100)
    return limit


def _json(view: BaseModel, *, exclude_none: bool = False) -> Response:
    shown = view.model_dump_json(exclude_none=exclude_none)
    return Response(shown, media_type="application/json", headers={"Cache-Control": "no-store"})
