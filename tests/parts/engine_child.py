"""The real engine process on one end of a socket pair, driven frame by frame."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatbot.llm.engine.frames import HEADER_BYTES, body_length, decode, encode

Frame = dict[str, Any]
DIALOGUE: Frame = {
    "system": "You are an office assistant.",
    "opening": [],
    "history": [],
    "question": ["user", "1+1="],
    "may_shorten": True,
}
SAMPLING: Frame = {
    "temperature": 0.0,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "penalty_last_n": 64,
    "seed": 1,
    "max_tokens": 16,
    "stop": [],
}
LOAD: Frame = {
    "type": "load",
    "context_tokens": 1024,
    "slots": 0,
    "kv_tokens": 0,
    "step_tokens": 0,
    "threads": 1,
    "gpu_layers": 0,
    "chat_format": "",
    "smoke": DIALOGUE,
}


class EngineChild:
    """One engine process. Every wait has a deadline.

    Attributes:
        process: The child.
        channel: Our end of the socket pair.
        heartbeats: Heartbeat frames so far.
    """

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        command = [sys.executable, "-m", "chatbot.llm.engine.process", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], start_new_session=True, stderr=subprocess.PIPE
        )
        theirs.close()
        self.heartbeats: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.channel.sendall(encode(frame))

    def load(self, model: Path, **changes: Any) -> Frame:
        """Load a model; the `ready` or `failed` frame."""
        self.send(LOAD | {"model_path": str(model)} | changes)
        while (frame := self.receive())["type"] == "loading":
            pass
        return frame

    def generate(
        self, request_id: str, question: str = "hello", *, timeout_seconds: float = 60.0, **changes: Any
    ) -> None:
        """Start a generation; `dialogue` replaces the whole dialogue, other changes are sampling fields."""
        dialogue = changes.pop("dialogue", DIALOGUE | {"question": ["user", question]})
        frame = {"dialogue": dialogue, "sampling": SAMPLING | changes, "timeout_seconds": timeout_seconds}
        self.send({"type": "generate", "id": request_id} | frame)

    def receive(self, timeout_seconds: float = 60.0) -> Frame:
        """The next frame that is no heartbeat; EOFError where the child closed."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            frame = decode(self._read(body_length(self._read(HEADER_BYTES, deadline)), deadline))
            if frame["type"] != "heartbeat":
                return frame
            self.heartbeats.append(frame)

    def events(self) -> Iterator[Frame]:
        """Events of step frames, without end."""
        while True:
            frame = self.receive()
            if frame["type"] == "step":
                yield from frame["events"]

    def answers(self, *request_ids: str) -> dict[str, Frame]:
        """Wait until these ended; the last event of each, with the whole text in `text`."""
        texts = dict.fromkeys(request_ids, "")
        ends: dict[str, Frame] = {}
        for event in self.events():
            texts[event["id"]] = texts.get(event["id"], "") + event["text"]
            if "finish" in event:
                ends[event["id"]] = event | {"text": texts[event["id"]]}
            if ends.keys() >= set(request_ids):
                return ends
        raise AssertionError("unreachable")

    def stats(self) -> dict[str, float]:
        """The counters of a heartbeat that is sent from now on."""
        seen = len(self.heartbeats)
        deadline = time.monotonic() + 30
        while len(self.heartbeats) < seen + 2:  # the first one may have been under way
            with contextlib.suppress(TimeoutError):
                self.receive(timeout_seconds=2)
            if time.monotonic() > deadline:
                raise TimeoutError("no heartbeat")
        return dict(self.heartbeats[-1]["stats"])

    def close(self) -> int:
        """Close our end and wait for the child's exit code."""
        self.channel.close()
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        return code

    def _read(self, size: int, deadline: float | None = None) -> bytes:
        data = b""
        while len(data) < size:
            self.channel.settimeout(max(0.01, (deadline or time.monotonic() + 30) - time.monotonic()))
            part = self.channel.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data


@contextlib.contextmanager
def engine_child() -> Iterator[EngineChild]:
    """An engine process that is gone afterwards."""
    child = EngineChild()
    try:
        yield child
    finally:
        child.close()
