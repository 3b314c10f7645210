"""One request to its end: sent again after `Retry-After`, as often as the service asks for it, up to a bound."""

import itertools
from collections.abc import Callable
from typing import Final

from chatbot_loadtest.results.records import Outcome
from chatbot_loadtest.users.exchange import Reply

MAX_RETRIES: Final = 8
_COME_BACK: Final = (429, 503)


def to_its_end(
    attempt: Callable[[], Reply],
    note: Callable[[Reply, Outcome, int], None],
    sleep: Callable[[float], object],
) -> Outcome:
    """Try until it is answered, fails, or was asked to come back too often.

    Args:
        attempt: Asks once.
        note: Takes what came back, what it means, and how many attempts were before.
        sleep: Waits so many seconds.

    Returns:
        SUCCESS or FAILURE.
    """
    for retry_count in itertools.count():
        reply = attempt()
        outcome = outcome_of(reply, retry_count)
        note(reply, outcome, retry_count)
        if outcome is not Outcome.RETRY:
            break
        sleep(reply.retry_after_seconds or 0)
    return outcome


def outcome_of(reply: Reply, retry_count: int) -> Outcome:
    """What an attempt is to its request: who names a time to come back is asked again (RFC 9110, section 10.2.3)."""
    if not reply.reason:
        return Outcome.SUCCESS
    asked_back = reply.status in _COME_BACK and reply.retry_after_seconds is not None
    return Outcome.RETRY if asked_back and retry_count < MAX_RETRIES else Outcome.FAILURE
