"""What is played: how many users of which kind, for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Stage:
    """A number of users that is held for some seconds."""

    users: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Release:
    """What an earlier release showed under the same number of users, on its own machine and with its own model.

    Attributes:
        waiting: Requests in the line from which on it was saturated.
        requests_per_hour: Lowest and highest.
    """

    name: str
    mean_seconds: float
    success_share: float
    waiting: int
    requests_per_hour: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load.

    Attributes:
        mix: Kind of user -> its weight.
        think_seconds: Shortest and longest pause of a user between an answer and its next question.
        greedy_clients: Clients that all ask without a pause in the name of one more user.
        release: What it is compared with.
    """

    text: str
    stages: tuple[Stage, ...]
    mix: Mapping[str, int]
    think_seconds: tuple[float, float] = (1.0, 3.0)
    greedy_clients: int = 0
    release: Release | None = None

    @property
    def seconds(self) -> float:
        """Length of the whole."""
        return sum(stage.seconds for stage in self.stages)

    def users_at(self, seconds: float) -> int | None:
        """How many users there are; None after the end."""
        for stage in self.stages:
            if seconds < stage.seconds:
                return stage.users
            seconds -= stage.seconds
        return None

    def lasting(self, seconds: float) -> "Scenario":
        """The same, stretched or shortened to a length."""
        factor = seconds / self.seconds
        stages = tuple(Stage(stage.users, stage.seconds * factor) for stage in self.stages)
        return replace(self, stages=stages)

    def thinking(self, shortest: float, longest: float) -> "Scenario":
        """The same with other pauses, seconds."""
        return replace(self, think_seconds=(shortest, longest))


_BOTH: Final = {"office": 3, "character": 3, "office_stream": 2, "character_stream": 2}
_WITH_V1: Final = {**_BOTH, "v1": 1}
_V1_7_4: Final = Release("v1.7.4", 16.3, 0.961, 3, (600, 900))
_V1_7_3: Final = Release("v1.7.3", 18.7, 0.942, 5, (800, 1200))
_RAMP: Final = (15, 25, 50, 75, 100, 150, 200)

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "v1.7.4": Scenario("15 users, as v1.7.4 was measured", (Stage(15, 300),), _BOTH, release=_V1_7_4),
    "v1.7.3": Scenario("20 users, as v1.7.3 was measured", (Stage(20, 300),), _BOTH, release=_V1_7_3),
    "ramp": Scenario("15 to 200 users in steps", tuple(Stage(users, 60) for users in _RAMP), _WITH_V1),
    "spike": Scenario("15 users, then 100, then 15", (Stage(15, 60), Stage(100, 60), Stage(15, 120)), _WITH_V1),
    "soak": Scenario("10 users for an hour", (Stage(10, 3600),), _WITH_V1),
    "greedy": Scenario("10 users beside one who asks with 20 clients", (Stage(10, 180),), _BOTH, greedy_clients=20),
    "openai": Scenario("10 users of the second backend, POST /OpenAI", (Stage(10, 180),), {"openai": 1}),
}
