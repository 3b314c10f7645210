"""One provider of web search: asked within its time, left alone for a while after it failed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import Fetched, Outbound
from chatbot.adapters.web.search.formats import FORMATS, found
from chatbot.domain.web import SearchFailed, WebResult

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
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether it failed shortly before."""
        return self._clock() < self._rests_until

    async def search(self, query: str, language: str, limit: int) -> tuple[WebResult, ...]:
        """Ask it.

        Raises:
            SearchFailed: It gave no results; what becomes of it is noted.
        """
        try:
            asked = self._format.ask(self._place.base_url, self._place.key(), query, language, limit)
            answer = await self.outbound.fetch(asked.url, headers=asked.headers, body=asked.body)
            results = self._results(answer, limit)
        except TimeoutError:
            raise self._failed("timeout") from None
        except WebRefused:
            raise self._failed("garbage") from None
        except OSError:
            raise self._failed("unreachable") from None
        except SearchFailed as exc:
            raise self._failed(exc.reason) from None
        self._failures = 0
        return results

    def _results(self, answer: Fetched, limit: int) -> tuple[WebResult, ...]:
        if answer.status in _LIMITED:
            self._rest(_seconds(answer.headers.get("retry-after", "")))
            raise SearchFailed("limited")
        if answer.status in (400, 401, 402, 403, 404, 422):  # a wrong key, or JSON that is switched off
            self._rest(REST_SECONDS)
            raise SearchFailed("refused")
        if answer.status != 200:
            raise SearchFailed("unreachable")
        try:
            return found(self._format, answer.body, limit)
        except ValueError:
            raise SearchFailed("garbage") from None

    def _failed(self, reason: str) -> SearchFailed:
        self._failures += 1
        if self._failures >= FAILURES:
            self._rest(REST_SECONDS)
        return SearchFailed(reason)

    def _rest(self, seconds: float) -> None:
        self._rests_until = max(self._rests_until, self._clock() + seconds)


def _seconds(retry_after: str) -> float:
    """What a provider asks for, within reason."""
    told = float(retry_after) if retry_after.strip().isascii() and retry_after.strip().isdigit() else 0.0
    return min(max(told, 1.0) if told else LIMITED_REST_SECONDS, MOST_REST_SECONDS)
