"""What waits to be sent, so that a step never waits for the socket.

Text of one generation is merged until it is sent. Where a reader takes nothing, it grows to a bound and then that
generation ends; the others and the steps go on.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Any

from chatbot.llm.engine.frames import StepEvent, encode

BUFFER_BYTES = 256 * 1024
_FRAME_BYTES = 512 * 1024
_SLICE_CHARACTERS = 64 * 1024
_JSON_CHARACTER_BYTES = 6  # at most, escaped
_JSON_EVENT_BYTES = 1024  # everything of an event but its text


class Outbox:
    """Frames to send; `run` is the sender thread's whole life."""

    def __init__(self, send: Callable[[bytes], None], buffer_bytes: int = BUFFER_BYTES) -> None:
        """Send with `send`, which may block and raises OSError where nobody reads any more."""
        self._send = send
        self._buffer_bytes = buffer_bytes
        self._changed = Condition()
        self._control: deque[dict[str, Any]] = deque()
        self._events: dict[str, StepEvent] = {}
        self._closed = False

    def control(self, frame: Any, *, replaces: bool = False) -> None:
        """Queue a frame that is no text; `replaces` drops unsent ones of its type (progress, heartbeat)."""
        with self._changed:
            if replaces:
                self._control = deque(each for each in self._control if each["type"] != frame["type"])
            self._control.append(frame)
            self._changed.notify()

    def text(self, event: StepEvent) -> bool:
        """Queue an event; False where this generation's buffer is full and it should end."""
        return not self.texts([event])

    def texts(self, events: Sequence[StepEvent]) -> list[str]:
        """Queue what a step brought, and wake the sender once.

        Returns:
            Generations that go on although their buffer is full; they should end.
        """
        if not events:
            return []
        full = []
        with self._changed:
            for event in events:
                waiting = self._events.get(event["id"])
                merged = event if waiting is None else _merged(waiting, event)
                self._events[event["id"]] = merged
                if "finish" not in event and not _fits(merged["text"], self._buffer_bytes):
                    full.append(event["id"])
            self._changed.notify()
        return full

    def forget(self, request_id: str) -> None:
        """Send nothing more of this generation."""
        with self._changed:
            self._events.pop(request_id, None)

    def close(self) -> None:
        """Let `run` end when everything was sent."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Send until `close`.

        Raises:
            OSError: Nobody reads any more.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._control or self._events or self._closed)
                control, self._control = self._control, deque()
                events, self._events = self._events, {}
                if not control and not events:
                    return
            for frame in control:
                self._send(encode(frame))
            for frame_events in _frames(events):
                self._send(encode({"type": "step", "events": frame_events}))


def _merged(first: StepEvent, then: StepEvent) -> StepEvent:
    merged: StepEvent = {**then}
    merged["text"] = first["text"] + then["text"]
    merged["tokens"] = first["tokens"] + then["tokens"]
    return merged


def _fits(text: str, n_bytes: int) -> bool:
    return 4 * len(text) <= n_bytes or len(text.encode()) <= n_bytes


def _frames(events: dict[str, StepEvent]) -> list[list[StepEvent]]:
    """Events in frames below the bound; a long text in several events, the end in the last one."""
    frames: list[list[StepEvent]] = [[]]
    size = 0
    for event in events.values():
        for part in _sliced(event):
            length = _JSON_CHARACTER_BYTES * len(part["text"]) + _JSON_EVENT_BYTES
            if size + length > _FRAME_BYTES and frames[-1]:
                frames.append([])
                size = 0
            frames[-1].append(part)
            size += length
    return [frame for frame in frames if frame]


def _sliced(event: StepEvent) -> list[StepEvent]:
    text = event["text"]
    if len(text) <= _SLICE_CHARACTERS:
        return [event]
    starts = range(0, len(text) - _SLICE_CHARACTERS, _SLICE_CHARACTERS)
    parts: list[StepEvent] = [
        {"id": event["id"], "text": text[start : start + _SLICE_CHARACTERS], "tokens": 0} for start in starts
    ]
    last: StepEvent = {**event}
    last["text"] = text[len(parts) * _SLICE_CHARACTERS :]
    return [*parts, last]
