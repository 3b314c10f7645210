"""What one request has reserved, from the moment it may enter the line until its answer is over."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from chatbot.core.limits.asks import Ask, Granted
from chatbot.core.limits.estimate import Estimates, answer_tokens
from chatbot.domain.generation import Backend, GenerationRequest, TextPiece, Usage
from chatbot.domain.limits import NO_QUOTA, Policy, Quota, RateLimited
from chatbot.domain.outside.upstream_key import is_on_own_key


@dataclass(frozen=True, slots=True)
class Held:
    """What was reserved.

    Attributes:
        ask: As it was asked for.
        answer_tokens: As it was granted.
        request: Held to that.
        context_tokens: Of the model; 0 where nobody knows them.
        binds: Whether answers are cut to it: shadows alone cut nothing.
    """

    ask: Ask
    answer_tokens: int
    request: GenerationRequest
    backend: Backend
    context_tokens: int
    binds: bool = True


class Accounts(Protocol):
    """Where it was reserved."""

    async def widen(self, ask: Ask) -> Granted:
        """Reserve another generation of the same answer.

        Raises:
            RateLimited: There is not so much left.
        """

    async def end(self, tokens: int | None, micro_usd: int) -> None:
        """Settle, or give back where tokens are None."""


class Hold:
    """A reservation; whoever has one finishes it, on every path.

    Args:
        held: None: nothing is limited.

    Attributes:
        quota: What is left beside it.
    """

    def __init__(self, held: Held | None, quota: Quota, estimates: Estimates, accounts: Accounts | None) -> None:
        self.quota = quota
        self._held = held
        self._estimates = estimates
        self._accounts = accounts
        self._reserved = (0, 0) if held is None else _most(held.ask, held.answer_tokens)
        self._tokens = 0
        self._micro_usd = 0
        self._has_used = False
        self._is_free = self._is_refused = False
        self._is_over = held is None

    def admitted(self, request: GenerationRequest) -> GenerationRequest:
        """The request, held to what was reserved."""
        return request if self._held is None else self._held.request

    async def admit(self, request: GenerationRequest) -> "Generation":
        """Let one more generation of the answer begin; what it may take beyond the reservation is reserved first.

        Raises:
            RateLimited: There is not so much left.
        """
        held, accounts = self._held, self._accounts
        if held is None or accounts is None:
            return Generation(request, lambda _: None)
        times = generations_of(request)
        bound = self._estimates.bound(request, held.context_tokens)
        ask = replace(
            held.ask,
            prompt_tokens=bound * times,
            answer_tokens=answer_tokens(request.sampling, held.context_tokens) * times,
            spent_tokens=self._tokens,
            spent_micro_usd=self._micro_usd,
            extends=True,
        )
        tokens, micro_usd = _most(ask, ask.answer_tokens)
        if tokens > self._reserved[0] or micro_usd > self._reserved[1]:
            try:
                granted = (await accounts.widen(ask)).answer_tokens
            except RateLimited:
                self._is_refused = True  # that is no failure of ours: what was made before it is paid
                raise
            self._reserved = _most(ask, granted)
            request = at_most(request, granted // times) if held.binds else request
        learns = Learns(self._estimates, held.backend, bound)
        return Generation(request, lambda usage: self._used(usage, learns, request), is_billed=self._is_billed)

    def forgive(self) -> None:
        """What was generated so far is not the caller's."""
        self._tokens = self._micro_usd = 0

    def failed(self) -> None:
        """A failure of ours is free, whatever was made before it; what others bill is not."""
        self._is_free = not self._is_refused

    def repeated(self) -> None:
        """The answer was there already: the request counts, without tokens."""
        self._has_used = True

    async def finish(self) -> None:
        """Settle, or give everything back where nothing was generated. Idempotent."""
        if self._is_over or self._accounts is None:
            return
        self._is_over = True
        tokens, micro_usd = (0, 0) if self._is_free else (self._tokens, self._micro_usd)
        if self._is_free and self._is_billed:
            micro_usd = self._micro_usd
        is_nothing = not self._has_used or (self._is_free and not micro_usd)
        await self._accounts.end(None if is_nothing else tokens, micro_usd)

    @property
    def _is_billed(self) -> bool:
        price = None if self._held is None else self._held.ask.price
        return price is not None and price.is_billed

    def _used(self, usage: Usage, learns: "Learns", request: GenerationRequest) -> None:
        if usage.prompt_tokens:
            learns.estimates.learn(learns.backend, request, usage.prompt_tokens)
        else:
            likely = learns.estimates.likely(learns.backend, request, learns.bound)
            usage = replace(usage, prompt_tokens=likely)
        self._has_used = True
        self._tokens += usage.prompt_tokens + usage.completion_tokens
        price = None if self._held is None else self._held.ask.price
        if price is not None and not is_on_own_key(request.upstream_key):
            self._micro_usd += price.cost(usage)


@dataclass(frozen=True, slots=True)
class Learns:
    """Who knows how long prompts are; `bound` is the most that one can have."""

    estimates: Estimates
    backend: Backend
    bound: int


class Generation:
    """One generation of an answer, while it runs.

    Args:
        used: Told once.

    Attributes:
        request: Held to what is reserved.
        is_billed: Whether somebody else bills what was made before a failure.
    """

    def __init__(self, request: GenerationRequest, used: Callable[[Usage], None], *, is_billed: bool = False) -> None:
        self.request = request
        self.is_billed = is_billed
        self._used = [used]
        self._prompt = Usage(0, 0)
        self._heard_tokens = 0
        self._is_over = False

    def also(self, used: Callable[[Usage], None]) -> None:
        """Tell somebody else, too."""
        self._used.append(used)

    def heard(self, piece: TextPiece) -> None:
        """Text came."""
        self._prompt = piece.prompt or self._prompt
        self._heard_tokens += piece.tokens

    def ended(self, usage: Usage) -> None:
        """It ended well; told a second time nothing changes."""
        if not self._is_over:
            self._is_over = True
            made = usage.completion_tokens or self._heard_tokens  # a backend that tells nothing is not believed
            for tell in self._used:
                tell(replace(usage, completion_tokens=made))

    def cut(self) -> None:
        """Whoever listened left: what was made is counted; how long the prompt was, some backends tell at its start."""
        self.ended(self._prompt)

    def broke(self) -> None:
        """It failed: that is free, unless somebody else bills the text that came before."""
        if self.is_billed and self._heard_tokens:
            self.cut()


def at_most(request: GenerationRequest, answer_tokens: int) -> GenerationRequest:
    """The request with an answer of at most so many tokens."""
    return replace(request, sampling=replace(request.sampling, most_tokens=max(1, answer_tokens)))


def generations_of(request: GenerationRequest) -> int:
    """A decision about calls reads and writes tokens of its own: never more than the answer's."""
    return 1 if request.tools is None else 2


def _most(ask: Ask, answer_tokens: int) -> tuple[int, int]:
    """Tokens and micro-dollars of a reservation."""
    return ask.amount(Policy.TOKENS_DAY, answer_tokens), ask.amount(Policy.USD_DAY, answer_tokens)


NO_HOLD: Final = Hold(None, NO_QUOTA, Estimates(), None)
"""Of a request without limits; it keeps nothing, so all may share it."""
