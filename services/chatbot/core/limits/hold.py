"""What one request has reserved, from the moment it may enter the line until its answer is over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from chatbot.core.limits.estimate import Estimates
from chatbot.domain.generation import Backend, FinishReason, GenerationRequest, Usage
from chatbot.domain.limits import NO_QUOTA, Quota


@dataclass(frozen=True, slots=True)
class Held:
    """What was reserved for. `prompt_bound` is the most tokens that the prompt can have."""

    id: str
    request: GenerationRequest
    prompt_bound: int
    backend: Backend


class Hold:
    """A reservation; whoever has one finishes it, on every path.

    Args:
        end: Settles with tokens, or gives back where they are None.

    Attributes:
        quota: What is left beside it.
    """

    def __init__(
        self,
        held: Held | None,
        quota: Quota,
        estimates: Estimates,
        end: Callable[[int | None], Awaitable[None]],
    ) -> None:
        self.quota = quota
        self._held = held
        self._estimates = estimates
        self._end = end
        self._tokens: int | None = None
        self._is_over = held is None

    def admitted(self, request: GenerationRequest) -> GenerationRequest:
        """The request, held to what was reserved."""
        return request if self._held is None else self._held.request

    def generated(self, finish: FinishReason | str, usage: Usage) -> None:
        """A generation ended.

        An answer that the client cut is charged by what was decoded; a failure of ours (`error`, `timeout`) is free.
        Where nobody told how long the prompt was, it is estimated.
        """
        held = self._held
        if held is None or finish in ("error", "timeout"):
            return
        prompt_tokens = usage.prompt_tokens
        if prompt_tokens:
            self._estimates.learn(held.backend, held.request, prompt_tokens)
        else:
            prompt_tokens = self._estimates.likely(held.backend, held.request, held.prompt_bound)
        self._tokens = prompt_tokens + usage.completion_tokens

    async def finish(self) -> None:
        """Settle, or give everything back where nothing was generated. Idempotent."""
        if not self._is_over:
            self._is_over = True
            await self._end(self._tokens)


async def _nothing(_tokens: int | None) -> None:
    """There is nothing to settle."""


NO_HOLD: Final = Hold(None, NO_QUOTA, Estimates(), _nothing)
"""Of a request without limits; it keeps nothing, so all may share it."""
