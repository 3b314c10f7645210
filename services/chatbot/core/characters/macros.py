"""Macros of cards (`{{char}}`, `{{random:a,b}}`, …), in one pass: what a macro brings is never looked at again.

Source: https://github.com/kwaroran/character-card-spec-v3, "Curly Braced Syntaxes".
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chatbot.core.characters.particles import particle

MAX_GROWTH: Final = 4
"""Expanded text is at most so many times as long, or `LEAST_ROOM_CHARACTERS`; macros beyond that become nothing."""

LEAST_ROOM_CHARACTERS: Final = 8_192

# One level of names inside of another macro; whatever else is nested is no macro.
_MACRO: Final = re.compile(r"\{\{((?:[^{}]|\{\{\s*(?:char|user)\s*\}\})*)\}\}|<(user|char|bot)>", re.IGNORECASE)
_NAME: Final = re.compile(r"\{\{\s*(char|user)\s*\}\}", re.IGNORECASE)
_DICE: Final = re.compile(r"(?:(\d{0,2})d)?(\d{1,6})", re.IGNORECASE)
_UNESCAPED_COMMA: Final = re.compile(r"(?<!\\),")
_HEAD: Final = re.compile(r"\s*(//|[^:\s]*)\s*(?:::?|\s|$)?", re.DOTALL)
_MAX_DICE: Final = 20


@dataclass(slots=True)
class Macros:
    """One text's worth of values.

    Attributes:
        char: What `{{char}}` becomes.
        user: What `{{user}}` becomes.
        seed: The same seed makes the same choices in the same text.
        original: What `{{original}}` becomes.
        unknown: Names of macros that nobody knows, filled by `expand`; they become nothing.
    """

    char: str
    user: str
    seed: str
    original: str = ""
    unknown: set[str] = field(default_factory=set)

    def expand(self, text: str) -> str:
        """The text with its macros replaced, and Korean particles behind names in the right form."""
        room = max(LEAST_ROOM_CHARACTERS, MAX_GROWTH * len(text)) - len(text)
        made: list[str] = []
        at = 0
        for number, found in enumerate(_MACRO.finditer(text)):
            if found.start() < at:
                continue  # behind a particle; cannot be, a particle has no braces
            made.append(text[at : found.start()])
            at = found.end()
            value, is_name = self._value(found, number)
            room -= len(value)
            if room < 0:
                continue
            made.append(value)
            if is_name:
                form, at = particle(value, text, at)
                made.append(form)
        made.append(text[at:])
        return "".join(made)

    def _value(self, found: re.Match[str], number: int) -> tuple[str, bool]:
        """What a macro becomes, and whether that is a name."""
        if found[2] is not None:
            return (self.user if found[2].lower() == "user" else self.char), True
        body = _NAME.sub(lambda name: self.user if name[1].lower() == "user" else self.char, found[1])
        head = _HEAD.match(body)
        name = head[1].lower() if head else ""
        if name in ("char", "user"):
            return (self.user if name == "user" else self.char), True
        rest = body[head.end() :] if head else ""
        known = _KNOWN.get(name)
        if known is None:
            self.unknown.add(name[:40])
            return "", False
        return known(self, rest, number), False

    def chosen(self, count: int, number: int, salt: str = "") -> int:
        """Which of `count`, by seed and place."""
        digest = hashlib.sha256(f"{self.seed}\0{number}\0{salt}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % count


def hidden_keys(text: str) -> str:
    """What `{{hidden_key:…}}` of a text says: looked through for lore, shown to nobody."""
    bodies = (found[1] or "" for found in _MACRO.finditer(text))
    return " ".join(body.partition(":")[2] for body in bodies if body.strip().lower().startswith("hidden_key:"))


def _choice(macros: Macros, rest: str, number: int) -> str:
    parts = rest.split("::") if "::" in rest else _UNESCAPED_COMMA.split(rest)
    return parts[macros.chosen(len(parts), number)].replace("\\,", ",").strip()


def _roll(macros: Macros, rest: str, number: int) -> str:
    found = _DICE.fullmatch(rest.strip())
    if found is None or not int(found[2]):
        return ""
    dice, sides = min(_MAX_DICE, int(found[1] or 1)), int(found[2])
    return str(sum(1 + macros.chosen(sides, number, str(die)) for die in range(dice)))


def _nothing(_macros: Macros, _rest: str, _number: int) -> str:
    return ""


_KNOWN: Final[Mapping[str, Callable[[Macros, str, int], str]]] = {
    "random": _choice,
    "pick": _choice,
    "roll": _roll,
    "reverse": lambda _macros, rest, _number: rest[::-1],
    "original": lambda macros, _rest, _number: macros.original,
    "newline": lambda _macros, _rest, _number: "\n",
    "//": _nothing,
    "comment": _nothing,
    "hidden_key": _nothing,
    "noop": _nothing,
    "trim": _nothing,
}
