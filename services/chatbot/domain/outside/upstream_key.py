"""A key of the user's own for the second backend: whose money is spent there is the user's affair, not ours."""

from dataclasses import dataclass, field

from chatbot.domain.errors import ChatError


@dataclass(slots=True)
class UpstreamKey:
    """For one request, in memory alone: never kept, never told, never in a log.

    Attributes:
        text: The key.
        may_fall_back: Whether the service's own key is used where this one is refused.
        is_refused: Whether the backend refused it; set by whoever asks the backend, which says whose key answered.
    """

    text: str = field(repr=False)
    may_fall_back: bool = False
    is_refused: bool = False


def is_on_own_key(key: UpstreamKey | None) -> bool:
    """Whether somebody else than we pays."""
    return key is not None and not key.is_refused


class UpstreamKeyNeeded(ChatError):
    """The second backend is asked with keys of users alone, and the request brings none."""


class UpstreamKeyRefused(ChatError):
    """The second backend refused the user's key; another one was not to be used."""


class UpstreamKeyLimited(ChatError):
    """The second backend has enough of the user's key for now.

    Args:
        retry_after_seconds: Whole seconds, >= 1.
    """

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("the second backend limits the user's key")
        self.retry_after_seconds = retry_after_seconds
