"""A plan while it is made: the parts of planning read what is observed and write what shall be."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from chatbot_operator.actions import Action, EventNote, Plan
from chatbot_operator.observed import Observed
from chatbot_operator.plan.texts import message
from chatbot_operator.reasons import ConditionType, EventReason, Reason
from chatbot_operator.resources import (
    Condition,
    ConsumerStatus,
    DownloadStatus,
    HistoryEntry,
    Model,
    ModelSpec,
    ModelStatus,
    RolloutStatus,
)

Truth = Literal["True", "False", "Unknown"]


@dataclass(slots=True)
class Draft:
    """Starts from the status as it was read; `finish` makes the plan.

    Attributes:
        observed: As it was given, consumers in the order of their names.
        now: Whole seconds, as times are kept in a status.
        is_new_spec: The spec was not planned before.
        is_retry: The retry annotation has a value that was not obeyed before.
    """

    model: Model
    observed: Observed
    now: datetime
    is_new_spec: bool
    is_retry: bool
    revision: str
    last_good: str
    download: DownloadStatus
    rollout: RolloutStatus
    history: tuple[HistoryEntry, ...]
    conditions: dict[ConditionType, Condition]
    consumers: tuple[ConsumerStatus, ...] = ()
    actions: list[Action] = field(default_factory=list)
    events: list[EventNote] = field(default_factory=list)
    result: str = ""
    _complaints: list[tuple[ConditionType, EventNote]] = field(default_factory=list)
    _wake_seconds: float | None = None

    @classmethod
    def start(cls, model: Model, observed: Observed, now: datetime) -> "Draft":
        """Begin with the status that was read."""
        status = model.status
        return cls(
            model=model,
            observed=replace(observed, consumers=tuple(sorted(observed.consumers, key=lambda each: each.name))),
            now=now.astimezone(UTC).replace(microsecond=0),
            is_new_spec=status.observed_generation != model.generation,
            is_retry=bool(model.retry) and model.retry != status.rollout.retry_handled,
            revision=status.revision,
            last_good=status.last_good_revision,
            download=status.download,
            rollout=status.rollout,
            history=status.history,
            conditions=dict(status.conditions),
        )

    @property
    def spec(self) -> ModelSpec:
        """The Model's spec."""
        return self.model.spec

    @property
    def source_key(self) -> str:
        """Changes with what is to be downloaded."""
        return self.spec.source_key

    @property
    def before(self) -> Mapping[ConditionType, Condition]:
        """Conditions as they were read."""
        return self.model.status.conditions

    def set(self, kind: ConditionType, status: Truth, reason: Reason, detail: str = "") -> None:
        """Set a condition; its transition time moves only with its status."""
        self._put(kind, status, reason, message(reason, detail))

    def complain(self, kind: ConditionType, reason: Reason, detail: str = "", status: Truth = "False") -> None:
        """Set a condition that is not well, with a Warning where the reason is new and no condition has said it yet."""
        old = self.before.get(kind)
        self.set(kind, status, reason, detail)
        text = self.conditions[kind].message
        was_said = any((one.reason, one.message) == (reason, text) for one in self.before.values())
        if (old is None or old.reason is not reason) and not was_said:
            self.tell("Warning", reason, text)
            self._complaints.append((kind, EventNote("Warning", reason, text)))

    def keep(self, kind: ConditionType) -> bool:
        """Leave a condition as it was read, if it was there."""
        old = self.before.get(kind)
        if old is None:
            return False
        self._put(kind, old.status, old.reason, old.message)
        return True

    def copy(self, kind: ConditionType, source: ConditionType, status: Truth) -> None:
        """Say of one condition what another one says."""
        self._put(kind, status, self.conditions[source].reason, self.conditions[source].message)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether a condition is True as it stands now."""
        condition = self.conditions.get(kind)
        return condition is not None and condition.status == "True"

    def act(self, action: Action) -> None:
        """Do something once the status is written."""
        self.actions.append(action)

    def tell(self, kind: Literal["Normal", "Warning"], reason: Reason | EventReason, text: str) -> None:
        """Post an Event once the status is written."""
        note = EventNote(kind, reason, text)
        if note not in self.events:
            self.events.append(note)

    def wake(self, seconds: float) -> None:
        """Look again after so long at the latest."""
        earliest = max(1.0, seconds)
        self._wake_seconds = earliest if self._wake_seconds is None else min(earliest, self._wake_seconds)

    def wake_at(self, moment: datetime) -> None:
        """Look again at a moment."""
        self.wake((moment - self.now) / timedelta(seconds=1))

    def finish(self) -> Plan:
        """The plan."""
        status = ModelStatus(
            observed_generation=self.model.generation,
            revision=self.revision,
            last_good_revision=self.last_good,
            download=self.download,
            rollout=self.rollout,
            consumers=self.consumers,
            history=self.history,
            conditions={kind: self.conditions[kind] for kind in ConditionType if kind in self.conditions},
        )
        return Plan(status, tuple(self.actions), self._events_that_hold(), self._wake_seconds, self.result)

    def _events_that_hold(self) -> tuple[EventNote, ...]:
        """Without complaints that the same plan replaced: as nothing remembers them, each plan would tell them anew."""
        held = {note for kind, note in self._complaints if self.conditions[kind].reason is note.reason}
        replaced = {note for _, note in self._complaints} - held
        return tuple(note for note in self.events if note not in replaced)

    def _put(self, kind: ConditionType, status: Truth, reason: Reason, text: str) -> None:
        old = self.before.get(kind)
        since = old.last_transition_time if old and old.status == status else self.now
        self.conditions[kind] = Condition(kind, status, reason, text, since, self.model.generation)
