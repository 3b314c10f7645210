"""Operations on sessions."""

from typing import Final

from chatbot.api.accounts.usage_noting import USAGE_HEADER
from chatbot.api.openapi.operation import ANSWERING, READING, SESSION_ID, TURN, UPSTREAM_KEY, USER, Operation
from chatbot.api.style.told import STYLE_HEADER
from chatbot.api.wire.reuse import REUSE_HEADERS

_STREAM: Final = (
    'event: queue\ndata: {"position": 0, "eta_seconds": 0.0}\n\n'
    'event: token\ndata: {"text": "연차는 15일입니다 [1]."}\n\n'
    'event: done\ndata: {"response": "연차는 15일입니다 [1].", "session_id": "order-17", "finish_reason": "stop", '
    '"success": true}\n\n'
)
_EVENTS: Final = (
    "The events of `/Llama`; `done` has the whole reply besides (the example leaves fields out), and `error` the body "
    "that the HTTP error would have."
)
SESSION_OPERATIONS: Final[dict[str, Operation]] = {
    "chat": Operation(
        errors=(*READING, *ANSWERING, 404, 409, 422),
        body="session",
        success="SessionReply",
        parameters=(TURN, UPSTREAM_KEY),
        headers=("X-History-Saved", "X-References", STYLE_HEADER, USAGE_HEADER, *REUSE_HEADERS),
        stream_example=_STREAM,
        stream_events=_EVENTS,
    ),
    "readSession": Operation(errors=(404, 422), success="SessionHistory", parameters=(USER, SESSION_ID)),
    "eraseSession": Operation(errors=(404, 422), success="-", parameters=(USER, SESSION_ID)),
}
