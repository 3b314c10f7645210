"""The engine process of an embedding model: `python -m chatbot.llm.engine.embedding.process <fd> [--die-with-parent]`.

As the one that chats: frames over an inherited socket, an end when the other end closes, a heart that beats. It is
nicer than everything else, so that on a CPU chat comes first. Questions are computed before texts of clients, these
before passages of documents; a step mixes texts of several requests.
"""

import argparse
import base64
import heapq
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from threading import Condition
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.desk import (
    EXIT_BROKEN,
    EXIT_LOAD_FAILED,
    LAST_WORDS_SECONDS,
    Desk,
    Receiver,
    complain,
    or_exit,
    prepare,
    start_thread,
    tell_progress,
)
from chatbot.llm.engine.embedding.loading import TEXTS_A_STEP, EmbeddingEngine, Tokens, load_embedding
from chatbot.llm.engine.frames import EmbedFrame, FrameError, LoadFrame
from chatbot.llm.engine.loading import LoadFailed
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.outbox import Outbox

HEARTBEAT_SECONDS = 1.0
NICENESS = 10
STEP_TOKENS = (64, 512)
STEP_SECONDS = 0.5
"""A step takes no more texts than this machine computes in about that time: a question waits for one step at most."""


@dataclass(slots=True)
class Request:
    """Texts that were asked for together.

    Attributes:
        tokens: Of each text.
        vectors: A row for each, as they come.
        left: How many are to be computed.
    """

    request_id: str
    tokens: list[NDArray[np.int32]]
    vectors: NDArray[np.float32]
    left: int


@dataclass(order=True, slots=True)
class Work:
    """One text in the line."""

    priority: int
    number: int
    request: Request = field(compare=False)
    place: int = field(compare=False)


class Line:
    """Texts by priority, then in the order in which they came."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._heap: list[Work] = []
        self._numbers = count()

    def put(self, request: Request, priority: int) -> None:
        """Add all texts of a request that have tokens."""
        with self._changed:
            for place, tokens in enumerate(request.tokens):
                if len(tokens):
                    heapq.heappush(self._heap, Work(priority, next(self._numbers), request, place))
            self._changed.notify()

    def take(self, most_tokens: int, most_texts: int) -> list[Work]:
        """The texts of the next step, at least one; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._heap)
            taken, rows = [heapq.heappop(self._heap)], 0
            rows = len(taken[0].request.tokens[taken[0].place])
            while self._heap and len(taken) < most_texts:
                following = self._heap[0]
                rows += len(following.request.tokens[following.place])
                if rows > most_tokens:
                    break
                taken.append(heapq.heappop(self._heap))
            return taken


class Dispatcher:
    """Turns frames into work, in the reader's thread."""

    def __init__(self, tokens: Tokens, dimensions: int, line: Line, outbox: Outbox) -> None:
        self._tokens, self._dimensions, self._line, self._outbox = tokens, dimensions, line, outbox

    def handle(self, frame: dict[str, Any]) -> None:
        """Act on one frame.

        Raises:
            FrameError: The type is unknown.
        """
        if frame["type"] != "embed":
            raise FrameError("unknown type")
        asked = cast(EmbedFrame, frame)
        made = [self._tokens.of(text) for text in asked["texts"]]
        too_long = next((place for place, (tokens, whole) in enumerate(made) if whole > len(tokens)), None)
        if too_long is not None and not asked["may_cut"]:
            whole = made[too_long][1]
            self._outbox.control(
                {"type": "embedded", "id": asked["id"], "vectors": "", "tokens": whole, "too_long": too_long}
            )
            return
        tokens = [each for each, _ in made]
        left = sum(bool(len(each)) for each in tokens)
        request = Request(asked["id"], tokens, np.zeros((len(tokens), self._dimensions), np.float32), left)
        if left:
            self._line.put(request, asked["priority"])
        else:
            answer(request, self._outbox)


def answer(request: Request, outbox: Outbox) -> None:
    """Send the vectors of a request."""
    packed = base64.b64encode(request.vectors.astype("<f4").tobytes()).decode()
    tokens = sum(map(len, request.tokens))
    outbox.control(
        {"type": "embedded", "id": request.request_id, "vectors": packed, "tokens": tokens, "too_long": None}
    )


class Steps:
    """Computes for ever, and knows how long the running step has taken."""

    def __init__(self, engine: EmbeddingEngine) -> None:
        self._engine = engine
        self._seconds_per_token = engine.seconds_per_token
        self._running: tuple[float, float] | None = None
        self._done = 0

    def run(self, line: Line, outbox: Outbox) -> None:
        """Compute what is in the line, step after step.

        Raises:
            NativeError: llama.cpp cannot be trusted any more.
        """
        while True:
            work = line.take(self._most_tokens(), TEXTS_A_STEP)
            texts = [one.request.tokens[one.place] for one in work]
            vectors = self._step(texts)
            for one, vector in zip(work, vectors, strict=True):
                one.request.vectors[one.place] = vector
                one.request.left -= 1
                if not one.request.left:
                    answer(one.request, outbox)

    def _most_tokens(self) -> int:
        least, most = STEP_TOKENS
        return min(max(least, min(most, int(STEP_SECONDS / self._seconds_per_token))), self._engine.step_tokens)

    def _step(self, texts: list[NDArray[np.int32]]) -> NDArray[np.float32]:
        rows, began = sum(map(len, texts)), time.monotonic()
        self._running = began, rows * self._seconds_per_token
        vectors = self._engine.context.embed(texts)
        self._running = None
        self._done += 1
        self._seconds_per_token += ((time.monotonic() - began) / rows - self._seconds_per_token) / 8
        return vectors

    def beat(self, outbox: Outbox) -> None:
        """Tell every second that the process lives."""
        while True:
            began, predicted = self._running or (0.0, 0.0)
            outbox.control(
                {
                    "type": "heartbeat",
                    "step": self._done,
                    "step_seconds": time.monotonic() - began if began else 0.0,
                    "predicted_seconds": predicted,
                    "stats": {},
                },
                replaces=True,
            )
            time.sleep(HEARTBEAT_SECONDS)


def main() -> None:
    """Entry of the child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--die-with-parent", action="store_true")
    arguments = parser.parse_args()
    prepare(die_with_parent=arguments.die_with_parent)
    os.nice(NICENESS)
    channel = socket.socket(fileno=arguments.fd)
    receiver, outbox = Receiver(channel), Outbox(channel.sendall)
    sender = start_thread("sender", lambda: or_exit(outbox.run))
    first = receiver.frame()
    if first is None:
        return
    desk = Desk(receiver)
    start_thread("reader", lambda: or_exit(desk.run))
    try:
        engine = load_embedding(cast(LoadFrame, first), Library(), lambda part: tell_progress(outbox, part))
    except LoadFailed as exc:
        outbox.control({"type": "failed", "reason": exc.reason.value, "message": str(exc)})
        outbox.close()
        sender.join(LAST_WORDS_SECONDS)
        sys.exit(EXIT_LOAD_FAILED)
    outbox.control(engine.ready)
    line, steps = Line(), Steps(engine)
    desk.open(Dispatcher(engine.tokens, engine.context.dimensions, line, outbox))
    start_thread("heart", lambda: steps.beat(outbox))
    try:
        steps.run(line, outbox)
    except Exception as exc:
        complain(exc)
        os._exit(EXIT_BROKEN)


if __name__ == "__main__":
    main()
