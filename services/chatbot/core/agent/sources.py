"""Where the results of an answer's tools come from: numbers for the model, addresses for the reader."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatbot.core.agent.containment import contained
from chatbot.core.tools.contract import JsonValue, ToolResult

SHOWN_CHARACTERS: Final = 600
"""Of each text; the tool `read_result` shows more of one."""


@dataclass(frozen=True, slots=True)
class Page:
    """One source. `text`: all that was read of it."""

    title: str
    url: str
    text: str


class Sources:
    """The sources of one answer.

    Attributes:
        pages: By number, from 1: those that the model was shown.
    """

    def __init__(self) -> None:
        self.pages: list[Page] = []

    @property
    def texts(self) -> tuple[str, ...]:
        """All that was read, by number."""
        return tuple(page.text for page in self.pages)

    def shown(self, result: ToolResult, limit_bytes: int) -> str:
        """A result as the model reads it: with numbers instead of addresses, at most `limit_bytes` of JSON."""
        pages = [_page(one) for one in _listed(result) if isinstance(one, Mapping)]
        numbers = self._numbers(pages)
        told: list[JsonValue] = [
            {"source": number, "title": page.title, "text": page.text[:SHOWN_CHARACTERS]}
            for number, page in zip(numbers, pages, strict=True)
        ]
        text = contained({**result, "results": told}, limit_bytes)
        for number, page in zip(numbers[: len(_listed(json.loads(text)))], pages, strict=False):
            if number > len(self.pages):
                self.pages.append(page)
        return text

    def _numbers(self, pages: list[Page]) -> list[int]:
        """A number for each; an address has one."""
        known = {page.url: number for number, page in enumerate(self.pages, start=1)}
        return [known.setdefault(page.url, len(known) + 1) for page in pages]


def _page(one: Mapping[str, Any]) -> Page:
    return Page(str(one["title"]), str(one["url"]), str(one["text"]))


def _listed(result: Any) -> list[Any]:
    listed = result.get("results") if isinstance(result, Mapping) else None
    return listed if isinstance(listed, list) else []
