"""Operations on all that is kept about a user."""

from typing import Final

from chatbot.api.openapi.operation import Json, Operation

_USER: Final[Json] = {
    "name": "X-User-ID",
    "in": "header",
    "required": False,
    "description": "The user, where `me` stands in the address: UTF-8, percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}
_TENANT: Final[Json] = {
    "name": "tenant",
    "in": "query",
    "required": False,
    "description": "Of the user; for keys of administrators alone. By default the key's own.",
    "schema": {"type": "string", "maxLength": 64},
}
_WHOSE: Final = (_USER, _TENANT)

PERSONAL_OPERATIONS: Final[dict[str, Operation]] = {
    "eraseUser": Operation(errors=(404, 422), success="ErasureView", parameters=_WHOSE, status=202),
    "readErasure": Operation(errors=(404, 422), success="ErasureView", parameters=_WHOSE),
    "exportUser": Operation(errors=(404, 422), success="ExportView", parameters=_WHOSE, status=202),
    "readExport": Operation(errors=(404, 422), success="ExportView", parameters=_WHOSE),
    "fetchExport": Operation(errors=(404, 422), success="zip", parameters=_WHOSE),
}
