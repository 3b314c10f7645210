"""The text of a grammar: literals, and rules that are written once however often they are used.

The notation is llama.cpp's GBNF: grammars/README.md of github.com/ggml-org/llama.cpp.
"""

import json
import os
from collections.abc import Iterable
from typing import Any, Final

SPACE: Final = "sp"
"""At most one space, where JSON may have any: what is not bounded, a model may write for ever."""

MAX_GRAMMAR_BYTES: Final = 192 * 1024
"""Below what the engine reads."""
_DEEPEST_BRANCH: Final = 12

# Control characters only in their escaped form, and no surrogates at all. A class of everything but a few would also
# take bytes that are no UTF-8: llama.cpp reads 0xF5 as the begin of a character beyond Unicode.
_BASE: Final = {
    SPACE: '" "?',
    "char": r'[ !#-\x5B\x5D-\uD7FF\uE000-\U0010FFFF] | "\\" (["\\/bfnrt] | "u00" [0-1] [0-9a-f])',
    "string": r'"\"" char* "\""',
    "natural": '"0" | [1-9] [0-9]{0,14}',
    "integer": '"-"? natural',
    "fraction": r'("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "number": "integer fraction",
    "boolean": '"true" | "false"',
    "null": '"null"',
}


def literal(text: str) -> str:
    """A text as the grammar's own literal.

    Raises:
        UnicodeEncodeError: It has half of a surrogate pair.
    """
    text.encode()
    named = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
    shown = (named.get(char) or (char if char.isprintable() else _by_number(char)) for char in text)
    return f'"{"".join(shown)}"'


def json_literal(value: Any) -> str:
    """The JSON of a value, without spaces, as a literal."""
    return literal(_json(value))


def one_of(values: Iterable[Any]) -> str:
    """One of several values' JSON. What several begin with is written once: llama.cpp follows each beginning by itself.

    Raises:
        UnicodeEncodeError, ValueError: As `json_literal`.
    """
    return _branches(list(dict.fromkeys(map(_json, values))), _DEEPEST_BRANCH)


def _branches(texts: list[str], levels: int) -> str:
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[0], []).append(text)
    options = []
    for group in groups.values():
        start = os.path.commonprefix(group)
        rests = [text[len(start) :] for text in group if text != start]
        if not rests:
            options.append(literal(start))
        elif levels == 0:
            options += map(literal, group)
        else:
            may_end = "?" if len(rests) < len(group) else ""
            options.append(f"{literal(start)} ({_branches(rests, levels - 1)}){may_end}")
    return " | ".join(options)


def choice(alternatives: Iterable[str]) -> str:
    """One of several; those that are equal are one."""
    return " | ".join(dict.fromkeys(alternatives))


def repeated(item: str, least: int, most: int | None) -> str:
    """Several of them with commas between, least >= 0; `most` None is any number."""
    comma = f'"," {SPACE}'
    if most == 0:
        return ""
    rest = f"({comma} {item})" + ("*" if most is None else f"{{{max(least - 1, 0)},{most - 1}}}")
    if most == 1:
        rest = ""
    elif most is None and least > 1:
        rest = f"({comma} {item}){{{least - 1},}}"
    return f"{item} {rest}".strip() if least else f"({item} {rest})?".replace(" )", ")")


class RuleBook:
    """Rules by name. Equal bodies share one rule, so a schema that repeats itself stays small.

    Attributes:
        n_bytes: About what its text has.
        parts: Schemas that were compiled into it, references followed.
        repetitions: Characters and items that its rules count; llama.cpp writes each out.
    """

    def __init__(self) -> None:
        self.n_bytes = self.parts = self.repetitions = 0
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def add(self, kind: str, body: str, repetitions: int = 0) -> str:
        """Add a rule; its name.

        Args:
            kind: Beginning of the name, for people.
            body: Right side.
            repetitions: How far it counts.
        """
        known = self._names.get(body)
        if known is None:
            known = self._names[body] = f"{kind}-{len(self._bodies)}"
            self._bodies[known] = body
            self.repetitions += repetitions
            self.n_bytes += len(f"{known} ::= {body}\n".encode())
        return known

    def text(self, root: str) -> str:
        """The whole grammar with this root."""
        rules = {"root": root} | self._bodies | _BASE
        return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _by_number(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02X}"
    return f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"
