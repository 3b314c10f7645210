"""The limits as a service's answers meet them; for callers without limits there is nothing to do."""

from collections.abc import Mapping
from dataclasses import replace

from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.core.limits.limiter import Limiter, Wanted
from chatbot.core.limits.metered import Metered
from chatbot.core.usage.meter import Priced
from chatbot.domain.chat import Caller
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.outside.upstream_key import UpstreamKey
from chatbot.domain.ports import TextGenerator
from chatbot.domain.usage.prices import NO_PRICES


class Entrance:
    """What stands before the waiting line of one service.

    Args:
        limiter: None where nobody has limits.
        seconds: Longest time of an answer, line and generation together.
    """

    def __init__(self, service: str, limiter: Limiter | None, seconds: float) -> None:
        self._service = service
        self._limiter = limiter
        self._priced = Priced(service, limiter.prices if limiter is not None else NO_PRICES)
        self._estimates = limiter.estimates if limiter is not None else Estimates()
        self._seconds = seconds

    def check(self, caller: Caller, backend: Backend, key: UpstreamKey | None = None) -> None:
        """Repeat a refusal of a moment ago, which may have been for money. Raises as `Refusals.check`."""
        if self._limiter is not None and caller.limited and key is None:
            self._limiter.refusals.check(self._service, backend, caller.limited)

    def metered(self, generator: TextGenerator) -> Metered:
        """The model for one answer: all of its generations are counted."""
        return Metered(generator, self._priced.meter(generator.backend, generator.model()), self._estimates)

    async def reserve(
        self, caller: Caller, request: GenerationRequest, generator: Metered, field_names: Mapping[str, str]
    ) -> Hold:
        """Reserve a request and its tokens; whoever called finishes the hold. Raises as `Limiter.reserve`."""
        if self._limiter is None or not caller.is_counted:
            return NO_HOLD
        hold = await self._limiter.reserve(caller, self._wanted(request, generator, field_names))
        generator.hold = hold
        return hold

    async def count(self, caller: Caller, request: GenerationRequest, generator: Metered) -> Hold:
        """Reserve a request for which nothing is generated; whoever called finishes it. Raises as `Limiter.reserve`."""
        if self._limiter is None or not caller.is_counted:
            return NO_HOLD
        return await self._limiter.reserve(caller, replace(self._wanted(request, generator, {}), is_repeated=True))

    def _wanted(self, request: GenerationRequest, generator: Metered, field_names: Mapping[str, str]) -> Wanted:
        model = generator.model()
        name, context_tokens = (model.name, model.context_tokens) if model else ("", 0)
        return Wanted(self._service, generator.backend, request, name, context_tokens, field_names, self._seconds)
