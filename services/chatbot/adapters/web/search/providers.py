"""All providers that are configured: the first that answers counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatbot.adapters.web.search.provider import Provider
from chatbot.domain.outside.web import SearchFailed, WebResult, WebTelemetry


@dataclass(frozen=True, slots=True)
class Providers:
    """Implements `WebSearch`.

    Attributes:
        providers: In the order in which they are asked.
    """

    service: str
    providers: Sequence[Provider]
    telemetry: WebTelemetry

    async def search(self, query: str, language: str, limit: int) -> tuple[WebResult, ...]:
        """See `WebSearch`. One that finds nothing has answered."""
        reason = "resting"
        for provider in self.providers:
            try:
                results = await provider.search(query, language, limit)
            except SearchFailed as exc:
                reason = exc.reason
                self.telemetry.provider_asked(self.service, provider.name, reason)
                continue
            self.telemetry.provider_asked(self.service, provider.name, "ok" if results else "empty")
            return results
        raise SearchFailed(reason)

    async def close(self) -> None:
        """Close all connections."""
        for provider in self.providers:
            await provider.outbound.close()
