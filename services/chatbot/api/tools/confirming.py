"""Calls that their user has to confirm: how they are shown, and how a request confirms them."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from chatbot.api.problem_texts import Texts
from chatbot.domain.toolservers.proposal import ID_PATTERN, MAX_PROPOSALS, Proposal

_Id = Annotated[str, Field(pattern=ID_PATTERN)]
ConfirmedIds = Annotated[list[_Id], Field(max_length=MAX_PROPOSALS)]
CONFIRM: Final[Any] = Field(
    [],
    description="Ids of calls that an answer of this conversation asked for (`confirmations`): each is run once, "
    "before the model answers.",
)


class ConfirmationView(BaseModel):
    """A call that was not run: a tool that does more than read waits for its user.

    `expires_in_seconds` is from now.
    """

    id: str
    server: str
    tool: str
    arguments: dict[str, Any]
    expires_at: datetime
    expires_in_seconds: int


def confirmation_views(proposals: Iterable[Proposal]) -> list[ConfirmationView]:
    """Calls, as their user is shown them."""
    return [
        ConfirmationView(
            id=one.id,
            server=one.server,
            tool=one.tool,
            arguments=json.loads(one.arguments),
            expires_at=datetime.fromtimestamp(int(one.until), UTC),
            expires_in_seconds=max(0, int(one.until - time.time())),
        )
        for one in proposals
    ]


def confirmation_fields(proposals: tuple[Proposal, ...]) -> dict[str, Any]:
    """The field `confirmations`; most answers have none."""
    if not proposals:
        return {}
    return {"confirmations": [one.model_dump(mode="json") for one in confirmation_views(proposals)]}


CONFIRM_TEXTS: Final[dict[str, Texts]] = {
    "title.confirmation_not_found": ("확인할 작업이 없습니다", "Nothing to confirm", "確認する操作がありません"),
    "detail.confirmation_not_found": (
        "이 대화에 그 id의 작업이 없습니다. 같은 사용자와 대화로 보내거나, 다시 요청해 주세요.",
        "This conversation of this user has no call of that id. Send it as the same user there, or ask again.",
        "この会話にその id の操作はありません。同じユーザーと会話で送るか、もう一度依頼してください。",
    ),
    "title.confirmation_used": ("이미 확인한 작업입니다", "Confirmed before", "確認済みの操作です"),
    "detail.confirmation_used": (
        "작업은 한 번만 실행됩니다. 결과는 state에 있습니다. 다시 필요하면 새로 요청해 주세요.",
        "A call is run once. *state* says how it ended. If you need it once more, ask for it again.",
        "操作は一度だけ実行されます。結果は state のとおりです。再度必要な場合は、新しく依頼してください。",
    ),
    "title.confirmation_expired": ("확인 시간이 지났습니다", "Too late to confirm", "確認の期限が切れました"),
    "detail.confirmation_expired": (
        "작업을 확인할 수 있는 시간이 지나 실행하지 않았습니다. 다시 요청해 주세요.",
        "The time to confirm this call is over; nothing was run. Ask for it again.",
        "確認できる時間を過ぎたため実行していません。もう一度依頼してください。",
    ),
    "title.confirmation_changed": ("도구가 바뀌었습니다", "The tool has changed", "ツールが変わりました"),
    "detail.confirmation_changed": (
        "확인을 요청한 뒤 도구가 바뀌었거나 더는 제공되지 않아 실행하지 않았습니다. 다시 요청해 주세요.",
        "The tool changed since it was shown, or is not offered any more; nothing was run. Ask for it again.",
        "確認を求めた後にツールが変わったか提供されなくなったため、実行していません。もう一度依頼してください。",
    ),
    "title.tool_unavailable": ("도구를 지금 사용할 수 없습니다", "The tool is away", "ツールは現在利用できません"),
    "detail.tool_unavailable": (
        "도구 서버가 응답하지 않아 아무것도 실행하지 않았습니다. 잠시 후 같은 id로 다시 확인해 주세요.",
        "The tool's server does not answer; nothing was run. Confirm the same id again in a moment.",
        "ツールサーバーが応答しないため、何も実行していません。しばらくしてから同じ id で確認してください。",
    ),
    "problem.needs_conversation": (
        "대화(db_id 또는 session_id)와 함께 보내 주세요.",
        "needs its conversation; send db_id or session_id.",
        "会話（db_id または session_id）と一緒に送ってください。",
    ),
    "problem.asks_first": (
        "확인이 필요한 도구가 있습니다. /chat에서 사용해 주세요.",
        "names a tool whose calls have to be confirmed, for which there is no place here; use it by /chat.",
        "確認が必要なツールが含まれています。/chat でお使いください。",
    ),
    "problem.leaves_the_house": (
        "외부로 나갈 수 없는 대화라 이 작업을 실행할 수 없습니다. local_only가 아닌 새 대화에서 요청해 주세요.",
        "cannot be run: this conversation must stay in the house. Ask in another one without local_only.",
        "外部に出せない会話のため実行できません。local_only でない別の会話で依頼してください。",
    ),
}
