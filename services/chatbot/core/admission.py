"""Who may wait, and who is served: bounded by the estimated wait, fair between callers, honest to the refused.

One admission stands before one engine. It never waits itself: a request is admitted or refused at once, and an
admitted one ends in a slot, at its deadline, or when its client leaves.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random

from chatbot.core.waiting.estimate import ServiceTimes, slots_free_at, start_times
from chatbot.core.waiting.lengths import AdmissionPolicy, Line
from chatbot.core.waiting.line import WaitingLine
from chatbot.core.waiting.promises import Promise, Promises, retry_after
from chatbot.core.waiting.slots import Slots
from chatbot.core.waiting.spare import Spare
from chatbot.core.waiting.ticket import Phase, Place, Ticket
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Busy, Draining, ModelUnavailable
from chatbot.domain.model import Capacity
from chatbot.domain.ports import Telemetry

CAUTION = 1.5
"""Standard deviations added to a forecast before it is held against the limit: who is admitted at the mean alone
expires in the line half of the time."""

__all__ = ["Admission", "AdmissionPolicy", "Line", "Place", "Ticket"]


class Admission:
    """The line before one engine. Belongs to one event loop; nothing here blocks.

    Attributes:
        spare: For work that gives way to everybody in the line.
    """

    def __init__(
        self,
        policy: AdmissionPolicy,
        capacity: Capacity,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self._policy = policy
        self._telemetry = telemetry
        self._clock = clock
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret
        self._waiting: WaitingLine[Ticket] = WaitingLine()
        self._slots = Slots()
        self.spare = Spare()
        self._times = ServiceTimes()
        self._promises = Promises()
        self._draining = False
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._capacity = capacity
        self._capacity_at = clock()
        self._places: dict[Ticket, Place] | None = None
        self._places_at = 0.0
        self._set_spare()

    @property
    def is_open(self) -> bool:
        """Whether new generations start now."""
        return self._capacity.open

    def set_capacity(self, capacity: Capacity) -> None:
        """What the engine offers now. Closed: nobody is dispatched and nobody is evicted."""
        self._capacity = capacity
        self._capacity_at = self._clock()
        self._dispatch()

    def expect(self, service_seconds: float) -> None:
        """Another model is served: believe this of an answer, from slot to end, until some were measured."""
        self._times.restart(service_seconds)

    def enter(self, service: str, caller: Caller, deadline: float) -> Ticket:
        """Take a place in the line, or a slot where one is free. Never waits.

        Args:
            service: For the metrics and the measured times.
            caller: Whose turn it takes.
            deadline: Clock seconds; a ticket that still waits then is evicted.

        Raises:
            Draining: This process is shutting down.
            ModelUnavailable: Nobody knows when the engine will serve.
            Busy: The predicted wait is above the limit, or the line is full.
        """
        self._refuse_unserved(service)
        now = self._clock()
        self._promises.forget_late(now)
        ticket = Ticket(self, service, caller, deadline, self._clock)
        if not self._starts_at_once():
            self._judge(ticket, now)
        self._promises.forget(caller)
        self._waiting.join(ticket)
        self._nobody.clear()
        self._dispatch()
        return ticket

    def line(self, service: str) -> Line:
        """The line as this service sees it, for metrics and `GET /performance`."""
        return Line(
            depth=sum(ticket.service == service for ticket in self._waiting),
            running=sum(ticket.service == service for ticket in self._slots.running),
            aside=sum(ticket.service == service for ticket in self._slots.aside),
            slots=self._capacity.slots,
            max_waiting=self._policy.max_waiting,
            predicted_wait_seconds=self._newcomer_wait(service),
        )

    def drain(self) -> None:
        """Refuse newcomers from now on; all that were admitted go on."""
        self._draining = True
        self._set_spare()

    async def idle(self) -> None:
        """Return when nobody waits or runs."""
        await self._nobody.wait()

    def place(self, ticket: Ticket) -> Place:
        """Where a waiting ticket stands now."""
        now = self._clock()
        if self._places is None or now - self._places_at >= 1.0:
            order = list(self._waiting)
            ranked = enumerate(zip(order, self._starts(order), strict=True), 1)
            self._places = {waiting: Place(n, start) for n, (waiting, start) in ranked}
            self._places_at = now
        place = self._places[ticket]
        return Place(place.position, max(0.0, place.eta_seconds - (now - self._places_at)))

    def give_back(self, ticket: Ticket, outcome: str | None) -> None:
        """The ticket's place or slot is free again; called by the ticket, once."""
        if ticket.phase is Phase.WAITING:
            self._waiting.leave(ticket)
            self._telemetry.queue_left(ticket.service, outcome or "client_gone", ticket.waited_seconds)
        else:
            self._slots.leave(ticket)
            if outcome != "failed":
                self._times.add(ticket.service, ticket.held_seconds)
        ticket.end(expired=outcome == "expired")
        self._dispatch()

    def step_aside(self, ticket: Ticket) -> bool:
        """Somebody else has this ticket's slot until it comes back; False where too many are aside already."""
        is_aside = self._slots.step_aside(ticket, self._capacity.slots)
        self._dispatch()
        return is_aside

    def come_back(self, ticket: Ticket) -> None:
        """The next slot is this ticket's, unless another one came back before; it has been in the line."""
        self._slots.come_back(ticket)
        self._dispatch()

    def stay_aside(self, ticket: Ticket) -> None:
        """It does not want it any more."""
        self._slots.stay_aside(ticket)

    def _dispatch(self) -> None:
        """Give free slots to those whose turn it is: a slot is never free while somebody waits."""
        self._places = None
        while self._has_room and (back := self._slots.first_back()) is not None:
            self._slots.seat(back)
        while self._has_room and len(self._waiting):
            ticket = self._waiting.next()
            if self._clock() >= ticket.deadline:
                self._telemetry.queue_left(ticket.service, "expired", ticket.waited_seconds)
                ticket.end(expired=True)
                continue
            self._slots.seat(ticket)
            self._telemetry.queue_left(ticket.service, "dispatched", ticket.waited_seconds)
        if not self._waiting and not self._slots:
            self._nobody.set()
        self._set_spare()

    def _set_spare(self) -> None:
        """Half of the slots is what an engine's memory surely holds at once; whoever is aside comes back for his."""
        is_quiet = self._capacity.open and not self._draining and not self._waiting
        self.spare.set_room(max(1, self._capacity.slots // 2) - len(self._slots) if is_quiet else 0)

    @property
    def _has_room(self) -> bool:
        return self._capacity.open and len(self._slots.running) < self._capacity.slots

    def _refuse_unserved(self, service: str) -> None:
        if self._draining:
            self._telemetry.queue_left(service, "shutdown", 0.0)
            raise Draining
        if not self._capacity.open and self._capacity.opens_in_seconds is None:
            self._telemetry.queue_left(service, "rejected_unavailable", 0.0)
            raise ModelUnavailable("no model is served")

    def _starts_at_once(self) -> bool:
        return self._has_room and not self._waiting

    def _judge(self, ticket: Ticket, now: float) -> None:
        """Refuse a ticket that would wait too long or finds no place.

        Raises:
            Busy: As said.
        """
        self._waiting.join(ticket)
        order = list(self._waiting)
        self._waiting.leave(ticket)
        starts = self._starts(order)
        ahead = order.index(ticket)
        slots = max(1, self._capacity.slots)
        wait = starts[ahead] + CAUTION * self._times.doubt(ticket.service, ahead, slots)
        full = self._full_seconds(ticket, order, starts)
        limit = min(self._policy.limit_seconds, ticket.deadline - now)
        if full is None and wait <= limit and self._keeps_promises(ticket, wait, now):
            return
        outcome = "rejected_wait" if full is None else "rejected_full"
        self._telemetry.queue_left(ticket.service, outcome, 0.0)
        seconds = self._promise(ticket, max(0.0, wait - limit) + (full or 0.0), now)
        raise Busy(seconds, len(self._waiting))

    def _full_seconds(self, ticket: Ticket, order: list[Ticket], starts: list[float]) -> float | None:
        """Predicted seconds until a place is free for this ticket's caller; None where one is free now.

        Args:
            ticket: The newcomer; part of `order`.
            order: All that wait, in the order of dispatch.
            starts: Predicted seconds until each of them starts.
        """
        bound, caller = self._policy.max_waiting, ticket.caller
        if len(order) > bound:
            return starts[0]
        share = bound - bound // 8
        of_user, of_tenant = self._waiting.waiting_of(caller)
        if of_user < share and (of_tenant < share or not caller.tenant):
            return None
        mine = (caller.tenant, caller.user if of_user >= share else None)
        return next(
            start
            for other, start in zip(order, starts, strict=True)
            if mine in ((other.caller.tenant, other.caller.user), (other.caller.tenant, None))
        )

    def _keeps_promises(self, ticket: Ticket, wait: float, now: float) -> bool:
        """Whether those who were told to come back still find their place if this one joins.

        Somebody who would wait at most half of what is allowed is not held back: the line is long for others only.
        """
        limit = self._policy.limit_seconds
        own = self._promises.of(ticket.caller)
        if wait <= limit / 2 or not self._promises or (own is not None and now >= own.due):
            return True
        slots = max(1, self._capacity.slots)
        line = wait + self._times.mean(ticket.service) / slots
        return self._promises.worst_wait(line, slots, now, limit) <= limit

    def _promise(self, ticket: Ticket, overdue_seconds: float, now: float) -> int:
        own = self._promises.of(ticket.caller)
        if own is not None and now >= own.due:
            self._promises.forget(ticket.caller)
            own = None
        promised = self._promises.seconds_before(own.due if own else None)
        seconds = retry_after(overdue_seconds, promised, max(1, self._capacity.slots), self._rng)
        self._promises.give(ticket.caller, Promise(now + seconds, self._times.mean(ticket.service)))
        return seconds

    def _starts(self, order: list[Ticket]) -> list[float]:
        """Predicted seconds until each ticket starts, if they are dispatched in this order."""
        self._times.outlasts(max((ticket.held_seconds for ticket in self._slots.running), default=0.0))
        left = {ticket: self._times.remaining(ticket.service, ticket.held_seconds) for ticket in self._slots}
        running = [left[ticket] for ticket in self._slots.running]
        free = slots_free_at(running, max(1, self._capacity.slots), self._opens_in_seconds())
        # Those that are aside come back before the next one of the line, or soon behind it.
        ahead = [left[ticket] for ticket in self._slots.aside]
        return start_times(free, [*ahead, *(self._times.mean(ticket.service) for ticket in order)])[len(ahead) :]

    def _opens_in_seconds(self) -> float:
        if self._capacity.open:
            return 0.0
        if self._capacity.opens_in_seconds is None:
            return self._policy.limit_seconds
        return max(1.0, self._capacity.opens_in_seconds - (self._clock() - self._capacity_at))

    def _newcomer_wait(self, service: str) -> float:
        """Predicted wait of a user of the last one's tenant who has nothing in the line."""
        if self._starts_at_once():
            return 0.0
        newcomer = replace(self._last_caller(), user="\0")
        nobody = Ticket(self, service, newcomer, float("inf"), self._clock)
        self._waiting.join(nobody)
        order = list(self._waiting)
        self._waiting.leave(nobody)
        return self._starts(order)[order.index(nobody)]

    def _last_caller(self) -> Caller:
        caller = Caller("", "")
        for ticket in self._waiting:
            caller = ticket.caller
        return caller
