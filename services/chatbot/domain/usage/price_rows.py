"""One row of the price table: which names it prices, from when, and what it takes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any, Final, Self

MOST_USD: Final = 100_000
"""Most dollars for a million tokens; more is a typing error."""

MOST_DECIMALS: Final = 9
MOST_NAMES: Final = 100
MOST_STARS: Final = 3
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/@+*-]{0,127}")
_REQUIRED: Final = frozenset({"model", "from", "input", "output"})
_OPTIONAL: Final = frozenset({"match", "cached_input", "long", "source", "note"})
_LONG: Final = frozenset({"above", "input", "cached_input", "output"})


class PriceError(ValueError):
    """A price table that cannot be used; names the row, the field and the remedy, and repeats no value."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Micro-dollars for a token, which are dollars for a million tokens."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class LongRates:
    """Rates of the whole request where its prompt has more than `above` tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What one model costs from one day on.

    Attributes:
        number: Of the row in its file, from 1.
        model: The name that use is told under.
        names: Exact names that it prices, the model's own first.
        patterns: Names with `*`, which stands for any characters; they price what no exact name does.
        since: First day, UTC.
        version: Told with every cost.
    """

    number: int
    model: str
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    since: date
    rates: Rates
    long: LongRates | None
    version: str

    @property
    def where(self) -> str:
        """The row for people."""
        return f"row {self.number} ({self.model})"

    def matches(self, model: str) -> bool:
        """Whether a pattern prices a model."""
        return any(_regex(pattern).fullmatch(model) for pattern in self.patterns)

    def rates_of(self, prompt_tokens: int) -> Rates:
        """The rates of a request with a prompt of that length."""
        is_long = self.long is not None and prompt_tokens > self.long.above
        return self.long.rates if self.long is not None and is_long else self.rates

    def tiers(self, prompt_tokens: int) -> Iterator[tuple[Rates, int]]:
        """Every tier that a prompt of at most so many tokens may fall in, with the most tokens it has there."""
        yield self.rates, prompt_tokens if self.long is None else self.long.above
        if self.long is not None and prompt_tokens > self.long.above:
            yield self.long.rates, prompt_tokens


def parse_row(number: int, given: object) -> PriceRow:
    """One row from plain values.

    Raises:
        PriceError: It is wrong.
    """
    if not isinstance(given, Mapping):
        raise PriceError(f"row {number}: fields are expected; write 'model:', 'from:', 'input:' and 'output:'")
    return _Reader.of(number, given).row()


def meet(first: str, second: str) -> bool:
    """Whether some name matches both patterns.

    Two patterns meet where both can be read at once: a `*` of either takes a character of the other, or ends.
    """
    reached = {(0, 0)}
    seen = set(reached)
    while reached:
        at = reached.pop()
        if at == (len(first), len(second)):
            return True
        new = set(_steps(first, second, *at)) - seen
        seen |= new
        reached |= new
    return False


def _steps(first: str, second: str, i: int, j: int) -> Iterator[tuple[int, int]]:
    a, b = first[i : i + 1], second[j : j + 1]
    if a == "*":
        yield i + 1, j
        if b:
            yield i, j + 1
    if b == "*":
        yield i, j + 1
        if a:
            yield i + 1, j
    if a and a == b:
        yield i + 1, j + 1


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the fields of one row."""

    number: int
    model: str
    given: Mapping[Any, Any]

    @classmethod
    def of(cls, number: int, given: Mapping[Any, Any]) -> Self:
        model = given.get("model")
        if not isinstance(model, str) or not _NAME.fullmatch(model):
            raise PriceError(f"row {number}: 'model' is no name; write up to 128 of A-Z a-z 0-9 . _ : / @ + -")
        return cls(number, model, given)

    def row(self) -> PriceRow:
        self._check_fields(self.given, _REQUIRED, _OPTIONAL, "")
        names, patterns = self._match()
        rates = self._rates(self.given, "")
        long = self._long()
        since = self._since()
        for name in ("source", "note"):
            if not isinstance(self.given.get(name, ""), str):
                raise self._error(name, "is no text; put it in quotes")
        version = f"{self.model}@{since.isoformat()}#{_digest(rates, long)}"
        return PriceRow(self.number, self.model, names, patterns, since, rates, long, version)

    def _error(self, field: str, why: str) -> PriceError:
        return PriceError(f"row {self.number} ({self.model}): '{field}' {why}")

    def _check_fields(
        self, given: Mapping[Any, Any], required: frozenset[str], optional: frozenset[str], where: str
    ) -> None:
        missing = sorted(required - given.keys())
        if missing:
            raise self._error(where + missing[0], "is missing; every price is written out, 0 where it is free")
        if given.keys() - required - optional:
            known = ", ".join(sorted(required | optional))
            raise self._error(where or "a field", f"is not known here; the fields are {known}")

    def _match(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        given = self.given.get("match", [])
        if not isinstance(given, list) or len(given) > MOST_NAMES:
            raise self._error("match", f'is no list of at most {MOST_NAMES} names; write ["name*"]')
        for name in given:
            if not isinstance(name, str) or not _PATTERN.fullmatch(name) or name.count("*") > MOST_STARS:
                raise self._error(
                    "match", "has something that is no name; write names, with up to 3 * for any characters"
                )
        exact = [self.model, *(name for name in given if "*" not in name)]
        return tuple(dict.fromkeys(exact)), tuple(dict.fromkeys(name for name in given if "*" in name))

    def _since(self) -> date:
        given = self.given["from"]
        if isinstance(given, date) and not isinstance(given, datetime):
            return given
        try:
            return date.fromisoformat(given)
        except (TypeError, ValueError):
            raise self._error("from", "is no day; write one such as 2026-11-01") from None

    def _long(self) -> LongRates | None:
        given = self.given.get("long")
        if given is None:
            return None
        if not isinstance(given, Mapping):
            raise self._error("long", "is no group of fields; write {above: 200000, input: 1.0, output: 2.0}")
        self._check_fields(given, _LONG - {"cached_input"}, frozenset({"cached_input"}), "long.")
        above = given["above"]
        if type(above) is not int or above < 1:
            raise self._error("long.above", "is no whole number of tokens from 1")
        return LongRates(above, self._rates(given, "long."))

    def _rates(self, given: Mapping[Any, Any], where: str) -> Rates:
        cached = "cached_input" if "cached_input" in given else "input"
        return Rates(*(self._price(given[name], where + name) for name in ("input", cached, "output")))

    def _price(self, given: object, field: str) -> Decimal:
        if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
            raise self._error(field, "is no number; write dollars for a million tokens")
        try:
            price = Decimal(str(given))
        except InvalidOperation:
            raise self._error(field, "is no number; write dollars for a million tokens") from None
        if not price.is_finite():
            raise self._error(field, "is no finite number; write dollars for a million tokens")
        if price < 0:
            raise self._error(field, "is negative; write 0 or more")
        if price > MOST_USD:
            raise self._error(field, f"is above {MOST_USD}; write dollars for a million tokens")
        if price != round(price, MOST_DECIMALS):
            raise self._error(field, f"has more than {MOST_DECIMALS} decimals; round it")
        return price


def _digest(rates: Rates, long: LongRates | None) -> str:
    tiers = [rates] if long is None else [rates, long.rates]
    numbers = [format(getattr(tier, name).normalize(), "f") for tier in tiers for name in Rates.__slots__]
    above = "" if long is None else str(long.above)
    return sha256(" ".join([*numbers, above]).encode()).hexdigest()[:8]
