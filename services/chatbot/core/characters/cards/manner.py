"""How a character speaks, in a card: `style`, `repair` and `speech` of our part of its `extensions`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypedDict, get_args

from chatbot.core.characters.cards.fields import Fields
from chatbot.domain.characters import Character
from chatbot.domain.style.rules import (
    MAX_FORBIDDEN,
    MAX_FORBIDDEN_CHARACTERS,
    MAX_HOLD_BACK_CHARACTERS,
    MAX_SPEECH,
    MAX_STYLE_CHARACTERS,
    MAX_STYLE_SENTENCES,
    MAX_SUFFIX_CHARACTERS,
    MAX_SUFFIXES,
    MIN_SPEECH,
    MIN_STYLE_CHARACTERS,
    CharacterRepair,
    CharacterStyle,
    RepairMode,
    SentenceSuffix,
    Speech,
    SpeechMarkup,
    SpeechUnit,
    StyleLanguage,
)


class Manner(TypedDict):
    """Fields of a `Character`."""

    style: CharacterStyle
    repair: CharacterRepair
    speech: Speech | None


def read_manner(own: Fields) -> Manner:
    """What a card says of them; what cannot be used is noted and left out."""
    said = own.child("speech")
    return {
        "style": _style(own.child("style")),
        "repair": _repair(own.child("repair")),
        "speech": _speech(said) if said.said else None,
    }


def manner_fields(character: Character) -> dict[str, dict[str, Any] | None]:
    """The parts as they are written; None for what says nothing."""
    style, suffix = character.style, character.style.sentence_suffix
    said: dict[str, Any] = {
        "language": style.language,
        "sentence_suffix": {"any": list(suffix.any), "min_share": suffix.min_share} if suffix.any else None,
        "max_sentences": style.max_sentences,
        "max_chars": style.max_chars,
        "forbid": list(style.forbid),
    }
    given = {name: value for name, value in said.items() if value not in (None, "", [])}
    return {
        "style": given or None,
        "repair": None if character.repair == CharacterRepair() else asdict(character.repair),
        "speech": None if character.speech is None else asdict(character.speech),
    }


def _style(said: Fields) -> CharacterStyle:
    suffix = said.child("sentence_suffix")
    endings = _few(suffix, "any", MAX_SUFFIXES, MAX_SUFFIX_CHARACTERS)
    return CharacterStyle(
        language=_choice(said, "language", get_args(StyleLanguage), ""),
        sentence_suffix=SentenceSuffix(endings, _share(suffix)) if endings else SentenceSuffix(),
        max_sentences=_whole(said, "max_sentences", 1, MAX_STYLE_SENTENCES),
        max_chars=_whole(said, "max_chars", MIN_STYLE_CHARACTERS, MAX_STYLE_CHARACTERS),
        forbid=_few(said, "forbid", MAX_FORBIDDEN, MAX_FORBIDDEN_CHARACTERS),
    )


def _repair(said: Fields) -> CharacterRepair:
    usual = CharacterRepair()
    held = _whole(said, "hold_back_chars", 1, MAX_HOLD_BACK_CHARACTERS)
    return CharacterRepair(
        _choice(said, "mode", get_args(RepairMode), usual.mode), usual.hold_back_chars if held is None else held
    )


def _speech(said: Fields) -> Speech:
    usual = Speech()
    most = _whole(said, "max_chars", MIN_SPEECH, MAX_SPEECH)
    return Speech(
        usual.max_chars if most is None else most,
        _choice(said, "unit", get_args(SpeechUnit), usual.unit),
        _choice(said, "markup", get_args(SpeechMarkup), usual.markup),
    )


def _choice(said: Fields, name: str, allowed: tuple[Any, ...], otherwise: Any) -> Any:
    value = said.said.get(name)
    if value is None or (isinstance(value, str) and value in allowed):
        return otherwise if value is None else value
    said.report.warn("wrong_value", said.path + name)
    return otherwise


def _whole(said: Fields, name: str, least: int, most: int) -> int | None:
    value = said.said.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    said.report.warn("wrong_value", said.path + name)
    return None


def _share(said: Fields) -> float:
    value = said.said.get("min_share")
    if value is None:
        return SentenceSuffix().min_share
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    said.report.warn("wrong_value", f"{said.path}min_share")
    return SentenceSuffix().min_share


def _few(said: Fields, name: str, most: int, characters: int) -> tuple[str, ...]:
    """Short texts; longer ones, and those beyond the bound, are left out."""
    given = said.texts(name)
    used = tuple(dict.fromkeys(one for one in given if len(one) <= characters))[:most]
    if len(used) < len(given):
        said.report.warn("wrong_value", said.path + name)
    return used


def put_manner(own: dict[str, Any], parts: Mapping[str, dict[str, Any] | None]) -> None:
    """Write the parts into our part of `extensions`, in the place of those that are there."""
    for name, part in parts.items():
        if part is None:
            own.pop(name, None)
        else:
            own[name] = part
