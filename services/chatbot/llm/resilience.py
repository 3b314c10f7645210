"""Retries as a share of requests, so that an outage is never multiplied.

It only counts and decides; it calls nothing and knows no protocol. One budget per backend.

Source: Google's SRE book, "Addressing Cascading Failures" (retries as a share of requests, at one layer only).
"""


class RetryBudget:
    """Retries as a share of requests, so that an outage is never multiplied.

    Each request earns `share` of a retry; at most `most` are saved up. One retry is there from the start, so that a
    connection that went stale does not cost the first request.
    """

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._saved = 1.0

    def earn(self) -> None:
        """Count one request."""
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
