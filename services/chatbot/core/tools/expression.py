"""Arithmetic on exact fractions: a grammar of its own, nothing is evaluated, and every number is bounded beforehand.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/" | "//" | "mod" | "%" before an operand) signed)*
    signed  = ("+" | "-")* power
    power   = percent (("^" | "**") signed)?
    percent = atom "%"*
    atom    = number | "pi" | "e" | name "(" sum ("," sum)* ")" | "(" sum ")"

Text is brought to NFKC first, so that full-width digits and signs are understood. Commas between groups of three
digits are read over, but inside the brackets of a function they part its arguments.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from chatbot.core.tools.exact_numbers import FUNCTIONS, CannotCompute, Number, constant, literal

MAX_CHARACTERS: Final = 200
MAX_DEPTH: Final = 64

_SIGNS: Final = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/", "−": "-", "–": "-", "√": "√"}
)
_NUMBER: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?"
_PLAIN_NUMBER: Final = r"[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?"
_REST: Final = r"[a-z]+|\*\*|//|[-+*/^%(),√]"
_OUTSIDE: Final = re.compile(rf"\s*({_NUMBER}|{_REST})")
_INSIDE: Final = re.compile(rf"\s*({_PLAIN_NUMBER}|{_REST})")
_PRODUCT_SIGNS: Final = ("*", "/", "//", "mod")


def compute(text: str) -> Number:
    """The value of an expression.

    Raises:
        CannotCompute: Which of its problems: empty, too_long, too_deep, not_understood, division_by_zero,
            too_large, not_real, not_supported.
    """
    if len(text) > MAX_CHARACTERS:
        raise CannotCompute("too_long")
    plain = unicodedata.normalize("NFKC", text).translate(_SIGNS).casefold()
    if len(plain) > 2 * MAX_CHARACTERS:  # one ligature may become 18 characters
        raise CannotCompute("too_long")
    parts = _parts(plain)
    if not parts:
        raise CannotCompute("empty")
    parser = _Parser(parts)
    value = parser.sum()
    if parser.next != "":
        raise CannotCompute("not_understood")
    return value


def _parts(text: str) -> list[str]:
    """Numbers, names and signs.

    Raises:
        CannotCompute: Something is none of them.
    """
    parts: list[str] = []
    calls: list[bool] = []  # of every open bracket: whether it belongs to a function
    at, end = 0, len(text.rstrip())
    while at < end:
        match = (_INSIDE if any(calls) else _OUTSIDE).match(text, at)
        if match is None:
            raise CannotCompute("not_understood")
        part = match[1]
        if part == "(":
            calls.append(bool(parts) and parts[-1].isalpha() and parts[-1] != "mod")
        elif part == ")" and calls:
            calls.pop()
        parts.append(part)
        at = match.end()
    return parts


@dataclass(slots=True)
class _Parser:
    """Reads the parts of an expression once, computes as it goes."""

    parts: list[str]
    at: int = 0
    depth: int = 0

    @property
    def next(self) -> str:
        return self.parts[self.at] if self.at < len(self.parts) else ""

    def take(self, *wanted: str) -> str:
        """The next part where it is one of these, else ""."""
        part = self.next
        if part and part in wanted:
            self.at += 1
            return part
        return ""

    def demand(self, wanted: str) -> None:
        if not self.take(wanted):
            raise CannotCompute("not_understood")

    def sum(self) -> Number:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CannotCompute("too_deep")
        value = self.product()
        while sign := self.take("+", "-"):
            value = value.plus(self.product()) if sign == "+" else value.minus(self.product())
        self.depth -= 1
        return value

    def product(self) -> Number:
        value = self.signed()
        while sign := (self.take(*_PRODUCT_SIGNS) or self._modulo()):
            right = self.signed()
            if sign == "*":
                value = value.times(right)
            elif sign == "/":
                value = value.over(right)
            elif sign == "//":
                value = value.over(right).floor()
            else:
                value = value.minus(value.over(right).floor().times(right))
        return value

    def _modulo(self) -> str:
        """The sign of a remainder; after an operand that is alone it is percent, which `percent` has taken."""
        return self.take("%")

    def signed(self) -> Number:
        is_negative = False
        while sign := self.take("+", "-"):
            is_negative ^= sign == "-"
        value = self.power()
        return value.negated() if is_negative else value

    def power(self) -> Number:
        base = self.percent()
        if not self.take("^", "**"):
            return base
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CannotCompute("too_deep")
        exponent = self.signed()
        self.depth -= 1
        return base.to_the(exponent)

    def percent(self) -> Number:
        value = self.atom()
        while self.next == "%" and not self._starts_operand(self.at + 1):
            self.at += 1
            value = value.over(Number(Fraction(100)))
        return value

    def _starts_operand(self, at: int) -> bool:
        part = self.parts[at] if at < len(self.parts) else ""
        return bool(part) and (part[0].isalnum() or part[0] in "(.√") and part != "mod"

    def atom(self) -> Number:
        part = self.next
        self.at += 1
        if part == "(":
            value = self.sum()
            self.demand(")")
            return value
        if part == "√":
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise CannotCompute("too_deep")
            value = self.atom()
            self.depth -= 1
            return FUNCTIONS["sqrt"]([value])
        if part.isalpha():
            return self._named(part)
        if part and (part[0].isdigit() or part[0] == "."):
            return literal(part.replace(",", ""))
        raise CannotCompute("not_understood")

    def _named(self, name: str) -> Number:
        function = FUNCTIONS.get(name)
        if function is None:
            return constant(name)
        self.demand("(")
        values = [self.sum()]
        while self.take(","):
            values.append(self.sum())
        self.demand(")")
        return function(values)
