"""Operations on characters."""

from typing import Final

from chatbot.api.openapi.operation import READING, Json, Operation

_NAME_QUERY: Final[Json] = {
    "name": "name",
    "in": "query",
    "required": False,
    "description": "Name that the character gets; absent: made of what it is called. A form may have it as a part.",
    "schema": {"type": "string", "maxLength": 64},
}
_FORMAT: Final[Json] = {
    "name": "format",
    "in": "query",
    "required": False,
    "description": "json is the card as it came.",
    "schema": {"enum": ["json", "v2", "v3", "png"], "default": "json"},
}
_PAGE: Final[tuple[Json, ...]] = (
    {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
    {
        "name": "after",
        "in": "query",
        "required": False,
        "description": "The last name of the page before.",
        "schema": {"type": "string", "maxLength": 64},
    },
)
CARD_CONTENT: Final[Json] = {
    "application/json": {
        "schema": {"type": "object", "description": "A card of version 1, 2 or 3."},
        "example": {
            "spec": "chara_card_v3",
            "spec_version": "3.0",
            "data": {
                "name": "나비",
                "description": "{{char}}는 서점에서 사는 말하는 고양이다.",
                "first_mes": "어서 와라냥.",
            },
        },
    },
    "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}},
    "application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "contentMediaType": "application/octet-stream"},
                "name": {"type": "string", "maxLength": 64},
            },
        }
    },
}
CHARACTER_OPERATIONS: Final[dict[str, Operation]] = {
    "listCharacters": Operation(errors=(404, 422), success="CharacterPage", parameters=_PAGE),
    "importCharacter": Operation(
        errors=(*READING, 404, 409, 422), body="card", success="ImportView", parameters=(_NAME_QUERY,)
    ),
    "readCharacter": Operation(errors=(404,), success="CharacterView"),
    "putCharacter": Operation(errors=(*READING, 404, 409, 422), body="character", success="CharacterView"),
    "eraseCharacter": Operation(errors=(404, 422), success="-"),
    "exportCharacter": Operation(errors=(404, 422), success="Card", parameters=(_FORMAT,), has_picture=True),
    "previewCharacter": Operation(errors=(*READING, 404, 422), body="preview", success="PreviewView"),
}
CARD_SCHEMA: Final[Json] = {"type": "object", "description": "A character card, with every field that it came with."}
