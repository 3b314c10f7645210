"""Operations on what stands beside a conversation's turns."""

from typing import Final

from chatbot.api.openapi.operation import AGAIN, DB_ID, READING, USER, Operation

_WHICH: Final = (USER, DB_ID)

MEMORY_OPERATIONS: Final[dict[str, Operation]] = {
    "readNote": Operation(errors=(404, 422), success="ConversationNote", parameters=_WHICH),
    "putNote": Operation(errors=(*READING, 404, 422), body="note", success="ConversationNote", parameters=_WHICH),
    "readPins": Operation(errors=(404, 422), success="ConversationPins", parameters=_WHICH),
    "continueConversation": Operation(
        errors=(404, 409, 422), success="ContinuedConversation", parameters=(*_WHICH, AGAIN)
    ),
    "putPins": Operation(errors=(*READING, 404, 422), body="pins", success="ConversationPins", parameters=_WHICH),
}
