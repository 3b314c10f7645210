"""Keys of users that the backend refused lately, so that it is not asked with them over and over."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from secrets import token_bytes

MOST_KEYS = 10_000
REFUSED_SECONDS = 300.0


class RefusedKeys:
    """Digests under a secret of this process: no key can be read out of its memory.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._secret = token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def add(self, key: str) -> None:
        """It was refused now."""
        digest = self._digest(key)
        self._until[digest] = self._clock() + REFUSED_SECONDS
        self._until.move_to_end(digest)
        while len(self._until) > MOST_KEYS:
            self._until.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        return self._clock() < self._until.get(self._digest(key), 0.0)

    def _digest(self, key: str) -> bytes:
        return blake2b(key.encode(), key=self._secret, digest_size=16).digest()
