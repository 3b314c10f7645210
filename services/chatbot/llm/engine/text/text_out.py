"""Bytes of tokens to text: whole characters only, and never a byte of a stop string.

A token may hold a third of a Hangul syllable or half of a stop string, so bytes wait until it is clear what they are.
"""

import codecs


class TextOut:
    """Text of one answer."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = tuple(text.encode("utf-8", "replace") for text in stop if text)
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.stopped = False
        """Whether a stop string came; nothing may be pushed afterwards."""

    def push(self, piece: bytes) -> str:
        """Take a token's bytes and return the text that is certain now."""
        self._held += piece
        starts = [start for start in map(self._held.find, self._stop) if start >= 0]
        if starts:
            self.stopped = True
            self._held = self._held[: min(starts)]
            return self.flush()
        keep = self._possible_stop()
        certain = self._held[: len(self._held) - keep]
        self._held = self._held[len(certain) :]
        return self._decoder.decode(certain)

    def flush(self) -> str:
        """The rest, at the answer's end. A character that was cut in half there is left out."""
        held, self._held = self._held, b""
        return self._decoder.decode(held)

    def _possible_stop(self) -> int:
        """Length of the longest end of the held bytes that begins a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stop):
                return length
        return 0
