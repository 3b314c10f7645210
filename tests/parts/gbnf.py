"""Reads GBNF, tells whether a text follows it, and makes texts that do: a second opinion beside llama.cpp's.

Only what this project's grammars use. Notation: grammars/README.md of github.com/ggml-org/llama.cpp.
"""

import random
import re
from dataclasses import dataclass

Node = object
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "]": "]", "[": "[", "-": "-", "/": "/"}
_NUMBERED = {"x": 2, "u": 4, "U": 8}
_SAMPLES = "abz09 .,:'\"\\/{}[]\n\t가힣あ漢é🙂\U0001f468\u200d\x7f\x1f"


@dataclass(frozen=True)
class Char:
    """One character out of ranges, or out of everything else."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def fits(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True)
class Sequence:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    item: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Name:
    name: str


class Grammar:
    """A parsed grammar.

    Raises, when it is made:
        ValueError: The text is no GBNF, or a rule is used that is not there.
    """

    def __init__(self, text: str) -> None:
        self.rules: dict[str, Node] = {}
        for line in text.splitlines():
            name, sign, body = line.partition(" ::= ")
            if not sign or name in self.rules or not re.fullmatch(r"[a-zA-Z0-9-]+", name):
                raise ValueError(f"no rule: {line!r}")
            reader = _Reader(body)
            self.rules[name] = reader.choice()
            if reader.at != len(body):
                raise ValueError(f"what is {body[reader.at :]!r}?")
        missing = {node.name for node in self._all_nodes() if isinstance(node, Name)} - self.rules.keys()
        if missing or "root" not in self.rules:
            raise ValueError(f"not there: {missing or 'root'}")

    def accepts(self, text: str) -> bool:
        """Whether the whole text follows the grammar."""
        states = self._open({(self.rules["root"],)})
        for char in text:
            states = self._open({state[1:] for state in states if state and state[0].fits(char)})  # type: ignore[attr-defined]
        return () in states

    def made(self, rng: random.Random, few: int = 3) -> str:
        """A text that follows the grammar; repetitions go at most `few` beyond their least."""
        return self._made(self.rules["root"], rng, few)

    def _made(self, node: Node, rng: random.Random, few: int) -> str:
        match node:
            case Char():
                fitting = [char for char in _SAMPLES if node.fits(char)]
                return rng.choice(fitting or [rng.choice(node.ranges)[0]])
            case Sequence():
                return "".join(self._made(item, rng, few) for item in node.items)
            case Choice():
                return self._made(rng.choice(node.options), rng, few)
            case Repeat():
                most = node.least + few if node.most is None else min(node.most, node.least + few)
                count = rng.choice([rng.randint(node.least, most), most if node.most == most else node.least])
                return "".join(self._made(node.item, rng, few) for _ in range(count))
            case Name():
                return self._made(self.rules[node.name], rng, few)
        raise TypeError(node)

    def _open(self, states: set[tuple[Node, ...]]) -> set[tuple[Node, ...]]:
        """States whose first item is a character, or that are at the end."""
        found: set[tuple[Node, ...]] = set()
        seen: set[tuple[Node, ...]] = set()
        work = list(states)
        while work:
            state = work.pop()
            if state in seen:
                continue
            seen.add(state)
            if not state or isinstance(state[0], Char):
                found.add(state)
                continue
            work += self._step(state[0], state[1:])
        return found

    def _step(self, first: Node, rest: tuple[Node, ...]) -> list[tuple[Node, ...]]:
        match first:
            case Sequence():
                return [(*first.items, *rest)]
            case Choice():
                return [(option, *rest) for option in first.options]
            case Name():
                return [(self.rules[first.name], *rest)]
            case Repeat():
                ways = [rest] if first.least == 0 else []
                if first.most != 0:
                    most = None if first.most is None else first.most - 1
                    ways.append((first.item, Repeat(first.item, max(0, first.least - 1), most), *rest))
                return ways
        raise TypeError(first)

    def _all_nodes(self) -> list[Node]:
        found, work = [], list(self.rules.values())
        while work:
            node = work.pop()
            found.append(node)
            work += getattr(node, "items", ()) + getattr(node, "options", ())
            work += [node.item] if isinstance(node, Repeat) else []
        return found


class _Reader:
    """A cursor over the right side of a rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def choice(self) -> Node:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while (char := self._next()) and char not in "|)":
            items.append(self._repeated(self._item(char)))
        return Sequence(tuple(items))

    def _item(self, char: str) -> Node:
        if char == '"':
            return self._literal()
        if char == "[":
            return self._class()
        if self._take("("):
            inner = self.choice()
            if not self._take(")"):
                raise ValueError(f"open bracket in {self.text!r}")
            return inner
        found = re.compile(r"[a-zA-Z0-9-]+").match(self.text, self.at)
        if not found:
            raise ValueError(f"what is {self.text[self.at :]!r}?")
        self.at = found.end()
        return Name(found[0])

    def _repeated(self, item: Node) -> Node:
        found = re.compile(r"\{(\d+)(,?)(\d*)\}|[?*+]").match(self.text, self.at)
        if not found:
            return item
        self.at = found.end()
        if found[0] in "?*+":
            return Repeat(item, int(found[0] == "+"), 1 if found[0] == "?" else None)
        least = int(found[1])
        return Repeat(item, least, int(found[3]) if found[3] else None if found[2] else least)

    def _literal(self) -> Node:
        self.at += 1
        chars: list[Node] = []
        while self.text[self.at] != '"':
            char = self._char()
            chars.append(Char(((char, char),)))
        self.at += 1
        return Sequence(tuple(chars))

    def _class(self) -> Node:
        self.at += 1
        negated = self.text[self.at] == "^"
        self.at += negated
        ranges = []
        while self.text[self.at] != "]":
            low = high = self._char()
            if self.text[self.at] == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                high = self._char()
            ranges.append((low, high))
        self.at += 1
        return Char(tuple(ranges), negated)

    def _char(self) -> str:
        char = self.text[self.at]
        self.at += 1
        if char != "\\":
            return char
        kind = self.text[self.at]
        self.at += 1
        if kind in _NUMBERED:
            digits = self.text[self.at : self.at + _NUMBERED[kind]]
            self.at += _NUMBERED[kind]
            return chr(int(digits, 16))
        return _ESCAPES[kind]

    def _next(self) -> str:
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _take(self, char: str) -> bool:
        if self._next() != char:
            return False
        self.at += 1
        return True
