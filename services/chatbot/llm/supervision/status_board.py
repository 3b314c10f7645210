"""What is said of the served model: `GET :9090/model`, readiness, and whether the line may expect an opening.

Facts are put here by the engine host and read by probes; nothing here looks at a process.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from chatbot.domain.model import ModelState, ModelStatus
from chatbot.llm.supervision.model_file import Fault

READY_WITHOUT_ENGINE_SECONDS = 60.0
"""How long a pod stays ready while its engine is started again; longer than a load from the page cache."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class StatusBoard:
    """Status of one engine host.

    Args:
        ready_during_swap: Whether a planned swap keeps the pod ready.
        clock: Monotonic seconds.
        utc_now: For `since`.
    """

    def __init__(
        self,
        ready_during_swap: bool,
        clock: Callable[[], float] = time.monotonic,
        utc_now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._ready_during_swap = ready_during_swap
        self._clock = clock
        self._utc_now = utc_now
        self._up = self._swapping = self._served_once = False
        self._lost_at: float | None = None
        self._crashing = False
        self._status = ModelStatus(ModelState.NO_MODEL, "", "", utc_now())

    @property
    def status(self) -> ModelStatus:
        """The stored answer."""
        return self._status

    @property
    def ready(self) -> bool:
        """Whether every request gets an answer or an honest refusal."""
        if self._up and not self._swapping:
            return True
        if not self._served_once or self._crashing:
            return False
        if self._swapping:
            return self._ready_during_swap
        return self._lost_at is not None and self._clock() - self._lost_at < READY_WITHOUT_ENGINE_SECONDS

    def no_model(self, message: str) -> None:
        """Nothing is configured to be served."""
        self._say(ModelState.NO_MODEL, expected="", message=message)

    def expect(self, revision: str) -> None:
        """Another revision is wanted: what was wrong with the one before no longer matters."""
        self._crashing = False
        state = ModelState.SWAPPING if self._up or self._swapping else ModelState.LOADING
        self._say(state, expected=revision, reason=None, message="")

    def swap_begins(self) -> None:
        """The engine finishes what runs, to be started on another file."""
        self._swapping = True
        self._say(ModelState.SWAPPING)

    def engine_down(self) -> None:
        """The engine was ended on purpose."""
        self._up = False
        self._say(self._status.state, revision="")

    def engine_lost(self, *, crashing: bool) -> None:
        """The engine died.

        Args:
            crashing: Whether it dies so often that newcomers should go elsewhere.
        """
        if self._up:
            self._lost_at = self._clock()
        self._up = False
        self._crashing = crashing
        state = self._status.state
        if state is ModelState.SERVING:
            state = ModelState.LOADING
        self._say(state, revision="", engine_restarts=self._status.engine_restarts + 1)

    def failed(self, fault: Fault, *, going_back: bool) -> None:
        """The expected revision cannot be served.

        Args:
            fault: Why.
            going_back: Whether the last good file is served, or about to be.
        """
        if not going_back:
            self._swapping = False
            self._lost_at = None
        self._say(ModelState.FAILED, reason=fault.reason, message=fault.message)

    def serving(self, revision: str, tokens_per_second: float, *, is_expected: bool) -> None:
        """The smoke answer is done. A file that is not the expected one leaves the state failed."""
        self._up = self._served_once = True
        self._swapping = self._crashing = False
        self._lost_at = None
        if is_expected:
            self._say(
                ModelState.SERVING, revision=revision, reason=None, message="", tokens_per_second=tokens_per_second
            )
        else:
            self._say(ModelState.FAILED, revision=revision, tokens_per_second=tokens_per_second)

    def identified(self, revision: str) -> None:
        """The revision of the served and expected file became known (it is hashed while it loads)."""
        served = revision if self._up else ""
        self._say(self._status.state, revision=served, expected=revision)

    def _say(self, state: ModelState, **changes: object) -> None:
        now = replace(self._status, state=state, **changes)  # type: ignore[arg-type]
        moved = (now.state, now.revision, now.expected) != (
            self._status.state,
            self._status.revision,
            self._status.expected,
        )
        self._status = replace(now, since=self._utc_now()) if moved else now
