"""Numbers of the calculator: exact fractions where they are, 45 digits where they are not, never above a bound.

The bound is held before each operation, so that no operation is ever slow: what it would make is estimated from the
lengths of its operands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import isqrt, log2
from typing import Final

MAX_BITS: Final = 4096
MAX_ARGUMENTS: Final = 50
_MAX_EXPONENT_BITS: Final = 24
_ROUNDING: Final = Context(prec=45, Emax=10**6, Emin=-(10**6))
_SHOWN_DIGITS: Final = 15
_WHOLE_DIGITS: Final = 60
_MAX_DECIMALS: Final = 30
_PI: Final = Fraction(31415926535897932384626433832795028841972, 10**40)
_E: Final = Fraction(27182818284590452353602874713526624977572, 10**40)


class CannotCompute(Exception):
    """An expression has no value here.

    Args:
        problem: One of a closed set of words.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Number:
    """A real number.

    Attributes:
        value: The number, or one that is the same to 40 digits and more.
        is_exact: Whether `value` is the number itself.
    """

    value: Fraction
    is_exact: bool = True

    def plus(self, other: "Number") -> "Number":
        """Sum."""
        _bound(max(_top(self) + _bottom(other), _top(other) + _bottom(self)) + 1, _bottom(self) + _bottom(other))
        return self._with(self.value + other.value, other)

    def minus(self, other: "Number") -> "Number":
        """Difference."""
        return self.plus(other.negated())

    def times(self, other: "Number") -> "Number":
        """Product."""
        _bound(_top(self) + _top(other), _bottom(self) + _bottom(other))
        return self._with(self.value * other.value, other)

    def over(self, other: "Number") -> "Number":
        """Quotient.

        Raises:
            CannotCompute: division_by_zero.
        """
        if not other.value:
            raise CannotCompute("division_by_zero")
        _bound(_top(self) + _bottom(other), _bottom(self) + _top(other))
        return self._with(self.value / other.value, other)

    def negated(self) -> "Number":
        """The same below zero."""
        return Number(-self.value, self.is_exact)

    def floor(self) -> "Number":
        """The next whole number below."""
        return Number(Fraction(self.value.__floor__()), self.is_exact)

    def to_the(self, exponent: "Number") -> "Number":
        """A power; exponents are whole numbers and halves.

        Raises:
            CannotCompute: division_by_zero, not_real, not_supported or too_large.
        """
        power = exponent.value
        if power.denominator == 2:
            return square_root(self).to_the(Number(Fraction(power.numerator), exponent.is_exact))
        if power.denominator != 1:
            raise CannotCompute("not_supported")
        if not self.value and power < 0:
            raise CannotCompute("division_by_zero")
        raised = self._raised(abs(power.numerator))
        return Number(1 / raised.value if power < 0 else raised.value, raised.is_exact and exponent.is_exact)

    def _raised(self, times: int) -> "Number":
        if not self.value:
            return Number(Fraction(0 if times else 1), self.is_exact)
        if abs(self.value) == 1:
            return Number(self.value if times % 2 else Fraction(1), self.is_exact)
        if times.bit_length() > _MAX_EXPONENT_BITS:
            raise CannotCompute("too_large")
        top, bottom = (times * log2(abs(part)) for part in self.value.as_integer_ratio())
        if abs(top - bottom) > MAX_BITS - 2:
            raise CannotCompute("too_large")
        if self.is_exact and max(top, bottom) <= MAX_BITS - 2:
            return Number(self.value**times)
        with localcontext(_ROUNDING):
            return Number(Fraction(_decimal(self.value) ** times), is_exact=False)

    def _with(self, value: Fraction, other: "Number") -> "Number":
        is_exact = self.is_exact and other.is_exact
        return Number(value if is_exact else _rounded(value), is_exact)

    def shown(self) -> tuple[str, bool]:
        """As a decimal text, and whether that text is the number itself."""
        top, bottom = self.value.numerator, self.value.denominator
        if bottom == 1 and abs(top) < 10**_WHOLE_DIGITS:
            return str(top), self.is_exact
        decimals = _decimals(bottom)
        if self.is_exact and decimals is not None and abs(top) < bottom * 10**_WHOLE_DIGITS:
            scaled = abs(top) * 10**decimals // bottom
            whole, rest = divmod(scaled, 10**decimals)
            return f"{'-' if top < 0 else ''}{whole}.{rest:0{decimals}d}", True
        with localcontext(Context(prec=_SHOWN_DIGITS, Emax=10**6, Emin=-(10**6))):
            near = _decimal(self.value).normalize()
            return (f"{near:f}" if -7 < near.adjusted() < 21 else str(near).replace("E", "e")), False


def literal(text: str) -> Number:
    """A number as it is written: digits, a point, an exponent of ten.

    Raises:
        CannotCompute: too_large.
    """
    digits, _, exponent = text.partition("e")
    if exponent and (len(exponent) > 6 or abs(int(exponent)) * 10 > MAX_BITS * 3):
        raise CannotCompute("too_large")
    number = Number(Fraction(digits + "0" if digits.endswith(".") else digits))
    return number.times(Number(Fraction(10) ** int(exponent))) if exponent else number


def constant(name: str) -> Number:
    """The numbers pi and e.

    Raises:
        CannotCompute: not_understood: no such name.
    """
    if name not in ("pi", "π", "e"):
        raise CannotCompute("not_understood")
    return Number(_E if name == "e" else _PI, is_exact=False)


def square_root(number: Number) -> Number:
    """Exact where the root is a fraction, else to 40 decimals.

    Raises:
        CannotCompute: not_real.
    """
    if number.value < 0:
        raise CannotCompute("not_real")
    top, bottom = number.value.numerator, number.value.denominator
    root = Fraction(isqrt(top), isqrt(bottom))
    if number.is_exact and root * root == number.value:
        return Number(root)
    with localcontext(_ROUNDING):
        return Number(Fraction(_decimal(number.value).sqrt()), is_exact=False)


def _top(number: Number) -> int:
    return number.value.numerator.bit_length()


def _bottom(number: Number) -> int:
    return number.value.denominator.bit_length()


def _bound(top_bits: int, bottom_bits: int) -> None:
    if top_bits > MAX_BITS or bottom_bits > MAX_BITS:
        raise CannotCompute("too_large")


def _rounded(value: Fraction) -> Fraction:
    with localcontext(_ROUNDING):
        return Fraction(_decimal(value))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _decimals(denominator: int) -> int | None:
    """Decimals that write a fraction of this denominator exactly; None for too many or endless ones."""
    for decimals in range(_MAX_DECIMALS + 1):
        if 10**decimals % denominator == 0:
            return decimals
    return None


def _round(number: Number, digits: Number = Number(Fraction(0))) -> Number:
    """Half away from zero, as people round by hand."""
    places = digits.value
    if places.denominator != 1 or abs(places) > _MAX_DECIMALS:
        raise CannotCompute("not_supported")
    scale = Fraction(10) ** places.numerator
    _bound(_top(number) + 128, _bottom(number) + 128)
    size = (abs(number.value) * scale + Fraction(1, 2)).__floor__() / scale
    return Number(size if number.value >= 0 else -size, number.is_exact)


def _ceiling(number: Number) -> Number:
    return number.negated().floor().negated()


def _size(number: Number) -> Number:
    return number if number.value >= 0 else number.negated()


def _least(*numbers: Number) -> Number:
    return min(numbers, key=lambda number: number.value)


def _greatest(*numbers: Number) -> Number:
    return max(numbers, key=lambda number: number.value)


def _function(
    compute: Callable[..., Number], least: int, most: int = MAX_ARGUMENTS
) -> Callable[[Sequence[Number]], Number]:
    def checked(numbers: Sequence[Number]) -> Number:
        if not least <= len(numbers) <= most:
            raise CannotCompute("not_understood")
        return compute(*numbers)

    return checked


FUNCTIONS: Final[Mapping[str, Callable[[Sequence[Number]], Number]]] = {
    "sqrt": _function(square_root, 1, 1),
    "abs": _function(_size, 1, 1),
    "round": _function(_round, 1, 2),
    "floor": _function(Number.floor, 1, 1),
    "ceil": _function(_ceiling, 1, 1),
    "min": _function(_least, 1),
    "max": _function(_greatest, 1),
}
