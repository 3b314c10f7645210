"""What the HTTP layer tells whoever follows requests over several systems: one trace for each, told once at its end."""

from dataclasses import dataclass
from typing import Protocol

from chatbot.domain.usage.rows import UsageRow


@dataclass(frozen=True, slots=True)
class Told:
    """What a trace says of a request: counts, names of closed sets, pseudonyms. Never text, never a name.

    Attributes:
        operation: `chat` or `embeddings`.
        conversation: Pseudonym; "" where it has none.
        finish: Why the model ended; "" where it did not.
    """

    row: UsageRow
    operation: str
    conversation: str = ""
    finish: str = ""


class Trace(Protocol):
    """One request.

    Attributes:
        traceparent: For whoever is asked on its behalf (https://www.w3.org/TR/trace-context/#traceparent-header).
    """

    traceparent: str

    def end(self, told: Told) -> None:
        """It is over. Never waits and never raises. A trace that nobody ends is never sent."""


class Traces(Protocol):
    """Makes them."""

    def begin(self, traceparent: str) -> Trace:
        """A request came, as a part of what the caller traces; "" where he traces nothing."""
