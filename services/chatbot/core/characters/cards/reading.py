"""From a card of any version to a character, and a report of what became of its fields.

Sources: https://github.com/malfoyslastname/character-card-spec-v2 (V1 and V2) and
https://github.com/kwaroran/character-card-spec-v3.
"""

import json
from dataclasses import fields as fields_of
from typing import Any, Final

from chatbot.core.characters.cards.fields import Fields, Json
from chatbot.core.characters.cards.lorebook import BOOK, read_lorebook
from chatbot.core.characters.cards.manner import read_manner
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.macros import Macros
from chatbot.domain.characters import (
    MAX_CARD_BYTES,
    MAX_DISPLAY_NAME_CHARACTERS,
    MAX_GREETINGS,
    MAX_TEXTS_BYTES,
    Character,
    CharacterSampling,
)
from chatbot.domain.errors import InvalidInput, MalformedBody

V2: Final = "chara_card_v2"
V3: Final = "chara_card_v3"
OWN: Final = "chatbot"
"""Name of our part of a card's `extensions`."""

FIELD_OF: Final = {
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "examples": "mes_example",
    "system": "system_prompt",
    "post_history": "post_history_instructions",
}
"""Texts of a character -> their fields in a card."""

_USED: Final = ("name", "nickname", "first_mes", "alternate_greetings", BOOK, *FIELD_OF.values())
_FETCHED: Final = ("http:", "https:", "ftp:", "file:", "//")
_V1: Final = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
_BOUNDS: Final = {
    "temperature": (0.0, 2.0),
    "top_p": (0.01, 1.0),
    "top_k": (0, 1_000),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (1.0, 2.0),
    "max_tokens": (1, 1 << 20),
}


def read_card(card: Json, report: Report) -> Character:
    """The character of a card.

    Raises:
        MalformedBody: It is no card.
        InvalidInput: A field is missing or too long; the error names it as the card does.
    """
    data = _data(card, report)
    character = Character(
        display_name=_display_name(data),
        **{name: data.text(field) for name, field in FIELD_OF.items()},
        greetings=_greetings(data),
        sampling=_sampling(data),
        lorebook=read_lorebook(data),
        **read_manner(data.child("extensions").child(OWN)),
    )
    _check_size(character, card)
    _tell_fields(card, data, report)
    _tell_macros(character, report)
    return character


def bounded_card(card: Json, report: Report) -> Json:
    """The card, without its list of assets where only that makes it too large."""
    if card_bytes(card) <= MAX_CARD_BYTES or not isinstance(card.get("data"), dict):
        return card
    data = {name: value for name, value in card["data"].items() if name != "assets"}
    if len(data) < len(card["data"]):
        report.drop("assets_dropped", "data.assets")
    return {**card, "data": data}


def card_bytes(card: Json) -> int:
    """Size of a card as compact JSON, UTF-8."""
    return len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode())


def _data(card: Json, report: Report) -> Fields:
    spec, data = card.get("spec"), card.get("data")
    if isinstance(data, dict):
        if spec not in (V2, V3):
            report.warn("newer_version" if isinstance(spec, str) else "no_spec", "spec")
        report.version = "v2" if spec == V2 else "v3"
        version = card.get("spec_version")
        if spec == V3 and isinstance(version, str) and version.partition(".")[0] > "3":
            report.warn("newer_version", "spec_version")
        if "entries" in data and not any(field in data for field in _V1[1:]):
            raise MalformedBody("card_is_lorebook")
        return Fields(data, "data.", report)
    if isinstance(card.get("name"), str) and any(name in card for name in _V1[1:]):
        report.version = "v1"
        return Fields(card, "", report)
    raise MalformedBody("no_card")


def _display_name(data: Fields) -> str:
    name = " ".join((data.text("nickname") or data.text("name")).split())
    if not name:
        raise InvalidInput(f"{data.path}name", "required")
    if len(name) > MAX_DISPLAY_NAME_CHARACTERS:
        raise InvalidInput(f"{data.path}name", "too_long", maximum=MAX_DISPLAY_NAME_CHARACTERS)
    return name


def _greetings(data: Fields) -> tuple[str, ...]:
    first = data.text("first_mes")
    greetings = (*((first,) if first else ()), *data.texts("alternate_greetings"))
    if len(greetings) > MAX_GREETINGS:
        data.report.warn("greetings_cut", f"{data.path}alternate_greetings")
    return greetings[:MAX_GREETINGS]


def _sampling(data: Fields) -> CharacterSampling:
    said = data.child("extensions").child(OWN).child("sampling")
    known: dict[str, Any] = {}
    for field in fields_of(CharacterSampling):
        value = said.said.get(field.name)
        if value is None:
            continue
        least, most = _BOUNDS[field.name]
        is_number = isinstance(value, int if isinstance(least, int) else int | float) and not isinstance(value, bool)
        if is_number and least <= value <= most:
            known[field.name] = value
        else:
            data.report.warn("wrong_value", said.path + field.name)
    return CharacterSampling(**known)


def _check_size(character: Character, card: Json) -> None:
    texts = (*(getattr(character, name) for name in FIELD_OF), *character.greetings)
    if sum(len(text.encode()) for text in texts) > MAX_TEXTS_BYTES:
        raise InvalidInput("data", "too_many_bytes", maximum=MAX_TEXTS_BYTES)
    if card_bytes(card) > MAX_CARD_BYTES:
        raise InvalidInput("card", "too_many_bytes", maximum=MAX_CARD_BYTES)


def _tell_fields(card: Json, data: Fields, report: Report) -> None:
    used = [name for name in _USED if data.said.get(name) not in (None, "", [], {})]
    report.used = [data.path + name for name in used]
    report.kept = [data.path + name for name in data.said if name not in used]
    if data.path:
        report.kept += [name for name in card if name not in ("spec", "spec_version", "data")]
    report.kept = [name[:100] for name in report.kept[:100]]
    if _has_links(data.said.get("assets")):
        report.warn("links_not_followed", f"{data.path}assets")


def _has_links(assets: object) -> bool:
    listed = assets if isinstance(assets, list) else []
    addresses = [str(one.get("uri", ""))[:16].lower() for one in listed if isinstance(one, dict)]
    return any(address.startswith(_FETCHED) for address in addresses)


def _tell_macros(character: Character, report: Report) -> None:
    macros = Macros("", "", "")
    texts = [getattr(character, name) for name in FIELD_OF]
    texts += [*character.greetings, *(entry.content for entry in character.lorebook.entries)]
    for text in texts:
        if "{{" in text:
            macros.expand(text)
    for name in sorted(macros.unknown)[:20]:
        report.warn("unknown_macro", f"{{{{{name}}}}}")
