"""What a request wants to reserve of one account, what it gets, and what tokens cost there."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from chatbot.domain.generation import Usage
from chatbot.domain.limits import Policy
from chatbot.domain.usage.prices import PriceTable

LEAST_ANSWER_TOKENS: Final = 16
"""A quota that leaves less for the answer refuses the request."""


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens of one model cost today, in micro-dollars.

    Attributes:
        is_billed: Whether somebody else writes the bill: what may have been spent then counts as spent.
    """

    table: PriceTable
    name: str
    day: date
    is_billed: bool

    def bound(self, prompt_tokens: int, answer_tokens: int) -> int:
        """The most that so many tokens can cost."""
        return self.table.bound(self.name, prompt_tokens, answer_tokens, self.day) or 0

    def cost(self, usage: Usage) -> int:
        """What was used costs."""
        cost = self.table.cost(self.name, usage, self.day)
        return cost.micro_usd if cost is not None else 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants to reserve.

    Attributes:
        id: Of the reservation; asking again for the same gives the same.
        prompt_tokens: An upper bound.
        answer_tokens: Most tokens of the answer.
        lapses_at: Unix seconds, when it is given back if nobody settled it.
        price: None where nobody counts money, or it costs none.
        spent_tokens: By the request's generations before this one: then the reservation of that id is widened.
        spent_micro_usd: As `spent_tokens`.
        extends: Whether there is a reservation to widen.
    """

    id: str
    prompt_tokens: int
    answer_tokens: int
    lapses_at: float
    price: Price | None = None
    spent_tokens: int = 0
    spent_micro_usd: int = 0
    extends: bool = False

    @property
    def least_answer_tokens(self) -> int:
        """Fewer are no answer."""
        return min(LEAST_ANSWER_TOKENS, self.answer_tokens)

    def amount(self, policy: Policy, answer_tokens: int) -> int:
        """What is counted in a window for an answer of so many tokens, with what was spent before it."""
        if policy is Policy.USD_DAY:
            return self.spent_micro_usd + self.micro_usd(answer_tokens)
        return self.spent_tokens + self.prompt_tokens + answer_tokens

    def micro_usd(self, answer_tokens: int) -> int:
        """The most that this generation costs."""
        return self.price.bound(self.prompt_tokens, answer_tokens) if self.price is not None else 0

    def answer_for(self, policy: Policy, left: int) -> int:
        """The longest answer, at most the wanted one, that what is left of a window is enough for; -1: none is."""
        wanted = self.amount(policy, self.answer_tokens)
        if wanted <= left or not wanted:  # what costs nothing fits, a budget lowered below what is spent, too
            return self.answer_tokens
        low, high = -1, self.answer_tokens
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.amount(policy, middle) <= left else (low, middle)
        return low


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation; the answer may have so many tokens."""

    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No reservation, and nothing consumed.

    Attributes:
        policy: The one that is reached for longest.
        seconds: Until it can be asked for again; infinity: never, the request is larger than the limit.
        others: Other limits that are reached, too.
    """

    policy: Policy
    seconds: float
    others: tuple[Policy, ...] = ()

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All that are reached, in their order."""
        return tuple(policy for policy in Policy if policy is self.policy or policy in self.others)


@dataclass(slots=True)
class Held:
    """A reservation as it is kept.

    Attributes:
        prompt_tokens: With what generations before the last one spent.
        answer_tokens: Of the last generation.
        windows: Numbers of the windows that it was reserved in, in the order of WINDOWS.
        micro_usd: Reserved money.
        kept_micro_usd: Of it, what stays spent where nobody settles: somebody else may have billed it.
        leased_until: Unix seconds, until when it counts as under way; whoever serves it renews that.
    """

    prompt_tokens: int
    answer_tokens: int
    lapses_at: float
    windows: list[int]
    micro_usd: int = 0
    kept_micro_usd: int = 0
    leased_until: float = 0.0

    @property
    def tokens(self) -> int:
        """Reserved tokens."""
        return self.prompt_tokens + self.answer_tokens

    def amount(self, policy: Policy) -> int:
        """What a window counts of it."""
        return self.micro_usd if policy is Policy.USD_DAY else self.tokens

    def plain(self) -> list[object]:
        """What a store keeps."""
        return [
            *(self.prompt_tokens, self.answer_tokens, self.lapses_at, self.windows),
            *(self.micro_usd, self.kept_micro_usd, self.leased_until),
        ]
