"""What became of a card: which of its fields are used, which only kept, and what was left out and why."""

from dataclasses import dataclass, field
from typing import Final

NOTES: Final = (
    "newer_version",
    "no_spec",
    "wrong_type",
    "wrong_value",
    "keys_cut",
    "greetings_cut",
    "pattern_never_matches",
    "patterns_cut",
    "decorator_ignored",
    "not_supported",
    "unknown_macro",
    "links_not_followed",
    "both_versions",
    "duplicate_chunk",
    "picture_dropped",
    "file_dropped",
    "assets_dropped",
)
"""Codes of notes; the texts for people are the API's."""

_SHOWN_CHARACTERS: Final = 100
_MAX_NOTES: Final = 100


@dataclass(frozen=True, slots=True)
class Note:
    """Something that its author should know.

    Attributes:
        code: One of `NOTES`.
        place: Path of the field, or name of the part, in the card.
    """

    code: str
    place: str


@dataclass(slots=True)
class Report:
    """Filled while a card is read.

    Attributes:
        version: v1, v2 or v3: how it was read.
        container: json, png, apng, charx or charx-jpeg.
        used: Paths of fields that can reach a prompt.
        kept: Paths of fields that are given back by an export and read by nobody.
        dropped: What an export does not give back.
        warnings: What is kept and does not do what its author wanted.
    """

    version: str = ""
    container: str = "json"
    used: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    dropped: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)

    def drop(self, code: str, place: str) -> None:
        """Note what was left out."""
        _add(self.dropped, code, place)

    def warn(self, code: str, place: str) -> None:
        """Note what has no effect."""
        _add(self.warnings, code, place)


def _add(notes: list[Note], code: str, place: str) -> None:
    note = Note(code, place[:_SHOWN_CHARACTERS])
    if len(notes) < _MAX_NOTES and note not in notes:
        notes.append(note)
