"""What tokens cost: a table of dated rows, in whole micro-dollars. Data, never code.

A price in dollars for a million tokens is a price in micro-dollars for one token, so nothing is ever divided: sums of
decimal fractions are exact and are rounded once, per answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from itertools import combinations
from typing import Final, Self

from chatbot.domain.generation import Backend, Usage
from chatbot.domain.usage.price_rows import PriceError, PriceRow, meet, parse_row

__all__ = ["NO_PRICES", "Cost", "PriceError", "PriceRow", "PriceTable", "priced_name", "today"]

MICRO_USD: Final = 1_000_000
"""Micro-dollars in a dollar."""

MOST_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer costs.

    Attributes:
        micro_usd: Micro-dollars.
        version: Of the row that it was priced by: model, first day, and a digest that tells a row edited in place.
    """

    micro_usd: int
    version: str


def priced_name(backend: Backend, service: str, model: str) -> str:
    """The name that the table has for a model: `local/office` for what a service answers on its own machines."""
    return f"local/{service}" if backend is Backend.LLAMA else model


class PriceTable:
    """Prices by model and day.

    A model is found by its name or one of its rows' exact names, else by a pattern; of its rows, the newest that is not
    in the future prices it. Rows of the past price use of the past.
    """

    def __init__(self, rows: Iterable[PriceRow] = ()) -> None:
        self._rows = tuple(sorted(rows, key=lambda row: row.since))
        self._found: dict[str, tuple[PriceRow, ...]] = {}

    @classmethod
    def parse(cls, given: object) -> Self:
        """From plain values, as a file of YAML or JSON has them: a list of rows.

        Raises:
            PriceError: A row is wrong, or two of them price the same; says which, and what to do.
        """
        if not isinstance(given, list | tuple):
            raise PriceError("the file: a list of rows is expected; begin each with '- model:'")
        if len(given) > MOST_ROWS:
            raise PriceError(f"the file: more than {MOST_ROWS} rows; drop what prices no use any more")
        rows = [parse_row(number, one) for number, one in enumerate(given, 1)]
        _refuse_overlaps(rows)
        return cls(rows)

    def __bool__(self) -> bool:
        """Whether anything has a price."""
        return bool(self._rows)

    @property
    def newest(self) -> date | None:
        """First day of the newest row; None where there is none."""
        return self._rows[-1].since if self._rows else None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, each once: a closed set, fit for labels of metrics."""
        return tuple(sorted({row.model for row in self._rows}))

    def age_seconds(self) -> float:
        """Time since the newest row that holds began to hold; 0 where none does."""
        now = datetime.now(UTC)
        held = [row.since for row in self._rows if row.since <= now.date()]
        if not held:
            return 0.0
        return (now - datetime(held[-1].year, held[-1].month, held[-1].day, tzinfo=UTC)).total_seconds()

    def row(self, model: str, day: date) -> PriceRow | None:
        """What prices a model on a day, UTC; None: nothing does."""
        rows = self._found.get(model)
        if rows is None:
            exact = tuple(row for row in self._rows if model in row.names)
            rows = exact or tuple(row for row in self._rows if row.matches(model))
            if rows and len(self._found) < MOST_ROWS:  # names come from settings and answers: kept bounded anyway
                self._found[model] = rows
        return next((row for row in reversed(rows) if row.since <= day), None)

    def cost(self, model: str, usage: Usage, day: date) -> Cost | None:
        """What an answer costs, rounded half to even once; None: the model has no price.

        Args:
            model: See `priced_name`.
            usage: Its cached tokens are part of its prompt tokens; what reasoning took is part of the completion.
            day: Of the answer, UTC.
        """
        row = self.row(model, day)
        if row is None:
            return None
        prompt, answer = max(0, usage.prompt_tokens), max(0, usage.completion_tokens)
        cached = min(max(0, usage.cached_tokens), prompt)
        rates = row.rates_of(prompt)
        exact = (prompt - cached) * rates.input + cached * rates.cached_input + answer * rates.output
        return Cost(int(exact.to_integral_value(ROUND_HALF_EVEN)), row.version)

    def bound(self, model: str, prompt_tokens: int, answer_tokens: int, day: date) -> int | None:
        """The most that an answer can cost in micro-dollars, for reserving before it; None: the model has no price.

        Never below `cost` of any usage of at most so many tokens, whatever is cached and whichever tier it falls in.
        """
        row = self.row(model, day)
        if row is None:
            return None
        return max(
            _ceiling(min(prompt_tokens, most) * max(rates.input, rates.cached_input) + answer_tokens * rates.output)
            for rates, most in row.tiers(prompt_tokens)
        )


NO_PRICES: Final = PriceTable()


def today() -> date:
    """The day that prices are looked up for, UTC."""
    return datetime.now(UTC).date()


def _ceiling(exact: Decimal) -> int:
    return int(exact.to_integral_value(ROUND_CEILING))


def _refuse_overlaps(rows: list[PriceRow]) -> None:
    """Refuse rows of which nobody could say which one prices.

    Raises:
        PriceError: There are such.
    """
    days: dict[tuple[str, date], PriceRow] = {}
    owners: dict[str, PriceRow] = {}
    for row in rows:
        first = days.setdefault((row.model, row.since), row)
        if first is not row:
            raise PriceError(f"{row.where}: 'from' is the day of row {first.number}, too; give it another, or drop one")
        for name in (*row.names, *row.patterns):
            owner = owners.setdefault(name, row)
            if owner.model != row.model:
                raise PriceError(f"{row.where}: shares a name with row {owner.number} of another model; drop one")
    patterns = [(pattern, owner) for pattern, owner in owners.items() if "*" in pattern]
    for (first_name, one), (second_name, other) in combinations(patterns, 2):
        if one.model != other.model and meet(first_name, second_name):
            raise PriceError(f"{other.where}: 'match' overlaps that of row {one.number}; write names in full")
