"""What every engine process does around its model: read frames, start threads, die with the other end."""

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import traceback
from threading import Event, Thread
from typing import Any, Protocol

from chatbot.llm.engine.frames import HEADER_BYTES, body_length, decode
from chatbot.llm.engine.outbox import Outbox

SWITCH_INTERVAL_SECONDS = 0.0005
EXIT_LOAD_FAILED = 3
EXIT_BROKEN = 4
LAST_WORDS_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


class Handler(Protocol):
    """What acts on frames once the model is loaded."""

    def handle(self, frame: dict[str, Any]) -> None:
        """Act on one frame.

        Raises:
            FrameError: It breaks the rules.
        """


class Receiver:
    """Reads frames of a blocking socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._file = channel.makefile("rb")

    def frame(self) -> dict[str, Any] | None:
        """The next frame, or None at the end of the stream.

        Raises:
            FrameError: It breaks the rules.
        """
        header = self._file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return None
        length = body_length(header)
        body = self._file.read(length)
        return decode(body) if len(body) == length else None


class Desk:
    """The reader's loop. It also runs while the model is loading, for the other end may close then."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._opened = Event()
        self._dispatcher: Handler | None = None

    def open(self, dispatcher: Handler) -> None:
        """The model is ready: frames are handled from now on."""
        self._dispatcher = dispatcher
        self._opened.set()

    def run(self) -> None:
        """Read until the other end closes, which ends the process.

        Raises:
            FrameError: A frame breaks the rules.
        """
        while (frame := self._receiver.frame()) is not None:
            self._opened.wait()
            if self._dispatcher is not None:
                self._dispatcher.handle(frame)
        os._exit(0)


def prepare(*, die_with_parent: bool) -> None:
    """Make this process one that dies quietly with its parent and never starts a debugger."""
    os.environ["GGML_NO_BACKTRACE"] = "1"  # a failed assertion would start a debugger to print one
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C drains; the parent ends this process by closing the socket
    # Getting the interpreter back after a step takes up to one interval while another thread is busy.
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    if die_with_parent:
        # Follows the parent's thread, not its process: only for a parent that starts it from its main thread.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_thread(name: str, target: Any) -> Thread:
    """Run a function beside the others; it never keeps the process alive."""
    thread = Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def or_exit(work: Any) -> None:
    """A thread without which the process is of no use: its end is the process's, also in the middle of a step."""
    try:
        work()
    except OSError:
        os._exit(0)
    except BaseException as exc:
        complain(exc)
        os._exit(EXIT_BROKEN)


def complain(exc: BaseException) -> None:
    """Print where it broke, without the exception's text: that could hold a user's."""
    places = traceback.format_tb(exc.__traceback__)
    print(f"engine ends: {type(exc).__name__}", *places, sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def tell_progress(outbox: Outbox, fraction: float) -> None:
    """Tell how much of the weights was read, 0.0-1.0."""
    outbox.control({"type": "loading", "fraction": fraction}, replaces=True)
