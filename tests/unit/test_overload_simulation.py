"""Three times more requests than the engine can serve, from clients that obey `Retry-After`; in played time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from chatbot.core.admission import Admission, AdmissionPolicy, Ticket
from chatbot.core.waiting.ticket import Phase
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Busy
from chatbot.domain.model import Capacity
from parts.fakes import CountingTelemetry

SLOTS = 8
MEAN_SECONDS = 5.0
LIMIT_SECONDS = 60.0


@dataclass
class Client:
    user: str
    tries: int = 0
    admitted_at_try: int = 0
    ticket: Ticket | None = None
    outcome: str = ""


@dataclass
class Simulation:
    """Events on a heap; the admission is the real one.

    Attributes:
        slow_share: Part of the time, in stretches of 20 s, in which answers take twice as long.
    """

    seed: int
    retries: bool = True
    slow_share: float = 0.0
    now: float = 0.0
    busy_seconds: float = 0.0
    clients: list[Client] = field(default_factory=list)
    waiting: dict[Ticket, Client] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.telemetry = CountingTelemetry()
        self.admission = Admission(
            AdmissionPolicy(LIMIT_SECONDS, 512),
            Capacity(SLOTS, True),
            self.telemetry,
            clock=lambda: self.now,
            rng=Random(self.seed),
        )
        self.order = count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, event: Callable[[], None]) -> None:
        heappush(self.events, (when, next(self.order), event))

    def run(self, arrivals_per_second: float, seconds: float) -> None:
        when = 0.0
        while (when := when + self.rng.expovariate(arrivals_per_second)) < seconds:
            client = Client(f"user-{len(self.clients)}")
            self.clients.append(client)
            self.at(when, lambda client=client: self.come(client))  # type: ignore[misc]
        while self.events:
            when, _, event = heappop(self.events)
            self.busy_seconds += self.admission.line("s").running * max(
                0.0, min(when, seconds) - min(self.now, seconds)
            )
            self.now = when
            event()
            self.see_who_started()

    def come(self, client: Client) -> None:
        client.tries += 1
        try:
            client.ticket = self.admission.enter("s", Caller("", client.user), self.now + LIMIT_SECONDS)
        except Busy as busy:
            if self.retries:
                self.at(self.now + busy.retry_after_seconds + self.rng.uniform(0, 0.3), lambda: self.come(client))
            return
        client.admitted_at_try = client.tries
        self.waiting[client.ticket] = client
        self.at(client.ticket.deadline, lambda: self.expire(client))

    def expire(self, client: Client) -> None:
        if client.ticket in self.waiting:
            client.outcome = "expired"
            self.waiting.pop(client.ticket).ticket.leave("expired")  # type: ignore[union-attr]

    def see_who_started(self) -> None:
        for ticket in [ticket for ticket in self.waiting if ticket.phase is Phase.RUNNING]:
            client = self.waiting.pop(ticket)
            client.outcome = "answered"
            seconds = self.rng.lognormvariate(0, 0.6) * MEAN_SECONDS / 1.197
            self.at(self.now + seconds * self.slowness(), ticket.leave)

    def slowness(self) -> float:
        """What something else on the machine makes of an answer that starts now."""
        stretch = Random(self.seed * 1000 + int(self.now / 20))
        return 2.0 if stretch.random() < self.slow_share else 1.0


def at_three_times_capacity(seed: int, *, retries: bool = True, slow_share: float = 0.0) -> Simulation:
    simulation = Simulation(seed, retries, slow_share)
    simulation.run(arrivals_per_second=3 * SLOTS / MEAN_SECONDS, seconds=600)
    return simulation


def test_clients_that_obey_are_admitted_when_they_come_back(
    scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    for seed in range(scale(1, 20)):
        simulation = at_three_times_capacity(seed)

        clients = simulation.clients
        refused = [client for client in clients if client.tries > 1]
        at_first_retry = sum(client.admitted_at_try == 2 for client in refused) / len(refused)
        busy = simulation.busy_seconds / (600 * SLOTS)
        expired = sum(client.outcome == "expired" for client in clients) / len(clients)
        figures(
            seed=seed,
            clients=len(clients),
            refused=len(refused),
            admitted_at_first_retry=round(at_first_retry, 3),
            slots_busy=round(busy, 3),
            expired=round(expired, 4),
            most_tries=max(client.tries for client in clients),
        )
        assert at_first_retry >= 0.8
        assert busy >= 0.9
        assert all(client.outcome for client in clients), "everyone got an answer or an end"
        assert expired <= 0.02


def test_few_expire_when_the_machine_is_slower_for_a_while(
    scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    expired = came = 0
    for seed in range(scale(2, 20)):
        simulation = at_three_times_capacity(seed, slow_share=0.5)
        expired += sum(client.outcome == "expired" for client in simulation.clients)
        came += len(simulation.clients)
        assert simulation.busy_seconds / (600 * SLOTS) >= 0.9

    figures(clients=came, expired=round(expired / came, 4))
    assert expired <= 0.015 * came  # with the doubt of independent times alone: 0.0185


def test_slots_stay_busy_when_nobody_comes_back(figures: Callable[..., None]) -> None:
    simulation = at_three_times_capacity(4, retries=False)

    busy = simulation.busy_seconds / (600 * SLOTS)
    figures(slots_busy=round(busy, 3))
    assert busy >= 0.9
