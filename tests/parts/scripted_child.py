"""An engine process that does as its "model" file says: for faults that the real one cannot be made to show.

The file is `GGUF` and a JSON object; see `Script`. Run as a program with the socket's descriptor, like the real one.
"""

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from chatbot.llm.engine.frames import HEADER_BYTES, body_length, decode, encode

TOO_LONG = {"finish": "too_long", "too_long": "question", "prompt_tokens": 9000}
SCRIPTED_COMMAND = (sys.executable, "-P", __file__)


class Script(TypedDict, total=False):
    """What the process does; all of it optional."""

    load_seconds: float
    deaths_loading: int  # how many first loads die; counted in a file beside the model
    fail: tuple[str, str]  # answer `failed` with this reason and message
    fail_times: int  # only so many first loads fail
    slots: int
    context_tokens: int
    tokens: int  # per answer
    token_seconds: float
    piece: str  # text of a token
    on_generate: str  # garbage, oversized, broken_event, exit, silent, stuck_step, nothing, error, too_long
    hard_to_end: bool  # ignores the end of file


def write_script(path: Path, **script: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + json.dumps(script).encode())
    return path


class ScriptedChild:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._running: dict[str, tuple[str, int]] = {}
        self._is_silent = False
        self._step_seconds = 0.0
        self._heartbeat_at = 0.0
        self._script: Script = {}

    def run(self) -> None:
        load = self._receive()
        path = Path(load["model_path"])
        self._script = json.loads(path.read_bytes()[4:])
        loads = self._count_load(path)
        end = time.monotonic() + self._script.get("load_seconds", 0.0)
        while time.monotonic() < end:
            self._send({"type": "loading", "fraction": 0.5})
            time.sleep(0.02)
        if loads <= self._script.get("deaths_loading", 0):
            os._exit(7)
        if "fail" in self._script and loads <= self._script.get("fail_times", 1 << 30):
            reason, message = self._script["fail"]
            self._send({"type": "failed", "reason": reason, "message": message})
            sys.exit(1)
        self._send(
            {
                "type": "ready",
                "name": "scripted",
                "context_tokens": self._script.get("context_tokens", 2048),
                "kv_tokens": 4096,
                "slots": self._script.get("slots", 4),
                "chat_format": "llama3",
                "tokens_per_second": 100.0,
                "memory": "none",
                "hardware": "none",
            }
        )
        while True:
            self._turn()

    def _turn(self) -> None:
        pause = self._script.get("token_seconds", 0.002) if self._running else 0.05
        time.sleep(pause)
        while select.select([self._connection], [], [], 0)[0]:
            self._obey(self._receive())
        self._step()
        if not self._is_silent and time.monotonic() - self._heartbeat_at > 0.1:
            self._heartbeat_at = time.monotonic()
            stats = {"steps": 1.0, "active": float(len(self._running))}
            self._send(
                {
                    "type": "heartbeat",
                    "step": 1,
                    "step_seconds": self._step_seconds,
                    "predicted_seconds": 0.01,
                    "stats": stats,
                }
            )

    def _obey(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "cancel":
            self._running.pop(frame["id"], None)
        elif frame["type"] == "measure":
            tokens = sum(len(content) for _, content in [*frame["dialogue"]["history"], frame["dialogue"]["question"]])
            too_long = "question" if tokens > self._script.get("context_tokens", 2048) else None
            self._send({"type": "measured", "id": frame["id"], "prompt_tokens": tokens, "too_long": too_long})
        elif frame["type"] == "generate":
            self._generate(frame)

    def _generate(self, frame: dict[str, Any]) -> None:
        event = {"id": frame["id"], "text": "", "tokens": 0}
        faults: dict[str, Callable[[], None]] = {
            "garbage": lambda: self._connection.sendall(b"\x00\x00\x00\x04nope"),
            "oversized": lambda: self._connection.sendall(b"\x7f\xff\xff\xff"),
            "broken_event": lambda: self._send({"type": "step", "events": [{"id": frame["id"]}]}),
            "exit": lambda: os._exit(9),
            "silent": lambda: setattr(self, "_is_silent", True),
            "stuck_step": lambda: setattr(self, "_step_seconds", 1000.0),
            "error": lambda: self._send({"type": "step", "events": [event | {"finish": "error"}]}),
            "too_long": lambda: self._send({"type": "step", "events": [event | TOO_LONG]}),
            "nothing": lambda: None,
        }
        fault = self._script.get("on_generate")
        if fault is None:
            self._running[frame["id"]] = frame["dialogue"]["question"][1], 0
        else:
            faults[fault]()

    def _step(self) -> None:
        events = []
        for generation_id, (question, done) in list(self._running.items()):
            piece = self._script.get("piece", f"{question}.{done} ")
            event: dict[str, Any] = {"id": generation_id, "text": piece, "tokens": 1}
            self._running[generation_id] = question, done + 1
            if done + 1 == self._script.get("tokens", 3):
                del self._running[generation_id]
                event |= {"finish": "stop", "prompt_tokens": 5, "completion_tokens": done + 1, "cached_tokens": 0}
            events.append(event)
        if events:
            self._send({"type": "step", "events": events})

    def _count_load(self, path: Path) -> int:
        counter = path.with_suffix(".loads")
        loads = int(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text(str(loads))
        return loads

    def _receive(self) -> dict[str, Any]:
        return decode(self._exactly(body_length(self._exactly(HEADER_BYTES))))

    def _exactly(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            piece = self._connection.recv(n_bytes - len(data))
            if not piece:
                while self._script.get("hard_to_end"):
                    time.sleep(1)
                os._exit(0)
            data += piece
        return data

    def _send(self, frame: dict[str, Any]) -> None:
        self._connection.sendall(encode(frame))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as wire:
        ScriptedChild(wire).run()
