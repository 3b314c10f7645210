"""One provider of web search: asked within its time, left alone for a while after it failed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import Fetched, Outbound
from chatbot.adapters.web.search.formats import FORMATS, found
from chatbot.domain.outside.breaker import Attempt, BreakerOpen, BreakerPolicy, CircuitBreaker
from chatbot.domain.outside.web import SearchFailed, WebResult

REST_SECONDS: Final = 30.0
LIMITED_REST_SECONDS: Final = 60.0
MOST_REST_SECONDS: Final = 3600.0
FAILURES: Final = 3
"""In a row, after which a provider rests; one refusal or one limit is enough."""
_LIMITED: Final = (429, 432, 433)  # the latter two are Tavily's: the plan's, and the key's own limit


@dataclass(frozen=True, slots=True)
class ProviderPlace:
    """Where a provider is.

    Attributes:
        name: One of `PROVIDERS`.
        base_url: Without the path of the search.
        key_file: Read at every search, so that a rotated key counts at once. None: no key.
    """

    name: str
    base_url: str
    key_file: Path | None = None

    def key(self) -> str:
        """The key, "" where none is needed.

        Raises:
            SearchFailed: `refused`: the file cannot be read, or holds no key that fits a header.
        """
        if self.key_file is None:
            return ""
        try:
            key = self.key_file.read_text("ascii").strip()
        except (OSError, ValueError):
            raise SearchFailed("refused") from None
        if not key or not key.isprintable() or " " in key:
            raise SearchFailed("refused")
        return key


class Provider:
    """Asks one provider.

    Args:
        place: Where it is.
        outbound: Trusts this provider's host.
        clock: Seconds.
    """

    def __init__(
        self, place: ProviderPlace, outbound: Outbound, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = place.name
        self.outbound = outbound
        self._place = place
        self._format = FORMATS[place.name]
        self._breaker = CircuitBreaker(BreakerPolicy(FAILURES, REST_SECONDS), clock=clock)

    async def search(self, query: str, language: str, limit: int) -> tuple[WebResult, ...]:
        """Ask it.

        Raises:
            SearchFailed: It gave no results; what becomes of it is noted. `resting`: it was not asked.
        """
        try:
            attempt = self._breaker.attempt()
        except BreakerOpen:
            raise SearchFailed("resting") from None
        try:
            asked = self._format.ask(self._place.base_url, self._place.key(), query, language, limit)
            answer = await self.outbound.fetch(asked.url, headers=asked.headers, body=asked.body)
            results = self._results(answer, limit, attempt)
            attempt.succeeded()
        except TimeoutError:
            raise _failed(attempt, "timeout") from None
        except WebRefused:
            raise _failed(attempt, "garbage") from None
        except OSError:
            raise _failed(attempt, "unreachable") from None
        except SearchFailed as exc:
            raise _failed(attempt, exc.reason) from None
        finally:
            attempt.release()
        return results

    def _results(self, answer: Fetched, limit: int, attempt: Attempt) -> tuple[WebResult, ...]:
        if answer.status in _LIMITED:
            attempt.refused(_seconds(answer.headers.get("retry-after", "")))
            raise SearchFailed("limited")
        if answer.status in (400, 401, 402, 403, 404, 422):  # a wrong key, or JSON that is switched off
            attempt.refused(REST_SECONDS)
            raise SearchFailed("refused")
        if answer.status != 200:
            raise SearchFailed("unreachable")
        try:
            return found(self._format, answer.body, limit)
        except ValueError:
            raise SearchFailed("garbage") from None


def _failed(attempt: Attempt, reason: str) -> SearchFailed:
    attempt.failed()  # where it was refused or limited it rests already
    return SearchFailed(reason)


def _seconds(retry_after: str) -> float:
    """What a provider asks for, within reason."""
    told = float(retry_after) if retry_after.strip().isascii() and retry_after.strip().isdigit() else 0.0
    return min(max(told, 1.0) if told else LIMITED_REST_SECONDS, MOST_REST_SECONDS)
