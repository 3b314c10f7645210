"""What every load user shares: one request with the retries that the service asks for."""

import itertools
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
import requests
from locust import User
from locust.exception import StopUser

from chatbot_loadtest.results.records import Outcome, Record, iso
from chatbot_loadtest.users.exchange import Reply, send
from chatbot_loadtest.users.retrying import to_its_end

_AFTER_FAULT_SECONDS: Final = 1.0
"""Pause after a failure, so that a broken service is not hammered."""


@dataclass(slots=True)
class Run:
    """What the users of one run share.

    Attributes:
        think_seconds: Shortest and longest pause.
        requests: Takes a row of `requests.csv`.
        waits: Takes a row of `waits.csv`.
        under_way: Requests that have begun and not ended.
        cut_off: Requests that were ended from outside.
        is_ending: No request begins any more.
    """

    url: str
    session: Callable[[], requests.Session]
    think_seconds: tuple[float, float]
    requests: Callable[[tuple[str, ...]], None]
    waits: Callable[[tuple[str, ...]], None]
    model: str = ""
    sent: int = 0
    under_way: int = 0
    cut_off: int = 0
    is_ending: bool = False
    numbers: dict[str, "itertools.count[int]"] = field(default_factory=dict)

    def number(self, kind: str) -> int:
        """Of the next user of a kind."""
        return next(self.numbers.setdefault(kind, itertools.count(1)))


class LoadUser(User):
    """Asks, waits, asks again. Subclasses say what.

    Attributes:
        run: Set on a subclass of its own for each run.
        kind: Goes into `test_type`.
    """

    abstract = True
    run_of: Run
    kind = ""
    service = "office"
    path = "/Llama"
    streams = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.number = self.run_of.number(self.kind)
        self.client_id = f"{self.kind}-{self.number:03d}"
        self.session = self.run_of.session()

    def on_stop(self) -> None:
        """Close its connections."""
        self.session.close()

    def wait_time(self) -> float:
        """Seconds to think."""
        return random.uniform(*self.run_of.think_seconds)  # noqa: S311 - no secret

    def ask(self, body: Mapping[str, Any], character_name: str = "") -> bool:
        """One request to its end, coming back as often as the service asks for it.

        Returns:
            Whether it was answered.
        """
        if self.run_of.is_ending:
            raise StopUser
        self.run_of.under_way += 1
        try:
            outcome = self._to_its_end(body, character_name)
        except gevent.GreenletExit:
            self.run_of.cut_off += 1
            raise
        finally:
            self.run_of.under_way -= 1
        if outcome is Outcome.FAILURE:
            gevent.sleep(_AFTER_FAULT_SECONDS)
        return outcome is Outcome.SUCCESS

    def _to_its_end(self, body: Mapping[str, Any], character_name: str) -> Outcome:
        url = f"{self.run_of.url}/{self.service}{self.path}"

        def attempt() -> Reply:
            self.run_of.sent += 1
            return send(self.session, url, body, stream=self.streams)

        def note(reply: Reply, outcome: Outcome, retry_count: int) -> None:
            self._record(reply, outcome, retry_count, character_name)

        return to_its_end(attempt, note, gevent.sleep)

    def _record(self, reply: Reply, outcome: Outcome, retry_count: int, character_name: str) -> None:
        now = time.time()
        record = Record(
            user_id=self.client_id,
            test_type=self.kind,
            endpoint=f"/{self.service}{self.path}",
            character_name=character_name,
            status_code=reply.status,
            response_time=reply.seconds,
            failure_reason=reply.reason,
            retry_count=retry_count,
            retry_after_seconds=reply.retry_after_seconds,
            timestamp=now,
            response_size=reply.size_bytes,
            outcome=outcome,
            error=reply.error,
            process_time=reply.stream.process_seconds if reply.stream else None,
        )
        self.run_of.requests(record.row())
        self._fire(record.endpoint, reply.seconds, reply.reason, reply.size_bytes)
        if reply.stream and reply.stream.is_whole:
            self._note_stream(reply, now)

    def _note_stream(self, reply: Reply, now: float) -> None:
        stream = reply.stream
        if stream is None or not stream.piece_seconds:
            return
        pieces = stream.piece_seconds
        gaps = [later - earlier for earlier, later in itertools.pairwise(pieces)]
        values = (
            stream.promised_seconds,
            stream.waited_seconds,
            pieces[0],
            sum(gaps) / len(gaps) if gaps else None,
            max(gaps, default=None),
        )
        self.run_of.waits((iso(now), self.service, *("" if value is None else f"{value:.4f}" for value in values)))
        self._fire("time to first token", pieces[0])
        self._fire("queue wait", stream.waited_seconds or 0.0)
        for gap in gaps:
            self._fire("time between tokens", gap)

    def _fire(self, name: str, seconds: float, reason: str = "", size_bytes: int = 0) -> None:
        """Into Locust's own statistics, milliseconds as it has them."""
        self.environment.events.request.fire(
            request_type="POST" if name.startswith("/") else "stream",
            name=name,
            response_time=seconds * 1000,
            response_length=size_bytes,
            exception=RuntimeError(reason) if reason else None,
            context={},
        )


def conversation_id() -> str:
    """A new conversation's name."""
    return f"load-{uuid.uuid4().hex[:24]}"
