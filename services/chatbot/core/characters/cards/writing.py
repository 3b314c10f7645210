"""Cards in the version that is asked for, and cards made of characters; what nobody here reads stays as it came."""

from typing import Any, Final, Literal

from chatbot.core.characters.cards.fields import Json
from chatbot.core.characters.cards.lorebook import BOOK, lorebook_fields
from chatbot.core.characters.cards.manner import manner_fields, put_manner
from chatbot.core.characters.cards.reading import FIELD_OF, OWN, V2, V3
from chatbot.domain.characters import Character, Lorebook

Version = Literal["v2", "v3"]
_SPECS: Final = {"v2": (V2, "2.0"), "v3": (V3, "3.0")}
_V2_FIELDS: Final[dict[str, Any]] = {
    "creator_notes": "",
    "tags": [],
    "creator": "",
    "character_version": "",
    "extensions": {},
}


def converted(card: Json, version: Version) -> dict[str, Any]:
    """A card in another version; in its own it is as it came. Fields of a later version stay in `data`."""
    spec, spec_version = _SPECS[version]
    if card.get("spec") == spec:
        return dict(card)
    data = card.get("data")
    if not isinstance(data, dict):  # V1: the card is its data
        return {"spec": spec, "spec_version": spec_version, "data": _completed(card, version)}
    return {**card, "spec": spec, "spec_version": spec_version, "data": _completed(data, version)}


def _completed(data: Json, version: Version) -> dict[str, Any]:
    """With what the version requires, so that strict readers take it."""
    texts: dict[str, Any] = {"name": "", "first_mes": "", **dict.fromkeys(FIELD_OF.values(), "")}
    more: dict[str, Any] = {"group_only_greetings": []} if version == "v3" else {}
    return {**texts, "alternate_greetings": [], **_V2_FIELDS, **more, **data}


def card_of(character: Character, before: Json | None) -> dict[str, Any]:
    """A card of version 3 that says what a character says.

    Args:
        character: What it shall say.
        before: The card that was there; its other fields stay.
    """
    card = converted(before or {}, "v3")
    data: dict[str, Any] = dict(card["data"])
    data.pop("nickname", None)  # it would stand before the name
    data["name"] = character.display_name
    for name, field in FIELD_OF.items():
        data[field] = getattr(character, name)
    data["first_mes"] = character.greetings[0] if character.greetings else ""
    data["alternate_greetings"] = list(character.greetings[1:])
    _put_lorebook(data, character.lorebook)
    _put_own(data, character)
    return {**card, "data": data}


def _put_lorebook(data: dict[str, Any], book: Lorebook) -> None:
    before = data.get(BOOK)
    if book == Lorebook():
        data.pop(BOOK, None)
    else:
        data[BOOK] = lorebook_fields(book, before if isinstance(before, dict) else {})


def _put_own(data: dict[str, Any], character: Character) -> None:
    """Our part of `extensions`; what others wrote there stays."""
    said = data.get("extensions")
    extensions = dict(said) if isinstance(said, dict) else {}
    before = extensions.get(OWN)
    own = dict(before) if isinstance(before, dict) else {}
    put_manner(own, {"sampling": character.sampling.given() or None, **manner_fields(character)})
    if own:
        extensions[OWN] = own
    else:
        extensions.pop(OWN, None)
    data["extensions"] = extensions
