"""Settings of the engine that are said to matter: each is played on and off, in the workloads where it should show.

What has no setting has no row: the sampler's top_k comes before its top_p always, flash attention goes with `streams`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine_bench.servers.contestants import OURS, OURS_AGAIN

_POOL: Final = "CHATBOT_ENGINE_WITHOUT=streams"


@dataclass(frozen=True, slots=True)
class Setting:
    """A part of the engine, and how it is switched.

    Attributes:
        part: What it is, for people.
        other: What is set instead of the default.
        workloads: Where it is said to matter.
        beside: What both sides have besides; "" are the defaults.
    """

    part: str
    other: str
    workloads: tuple[str, ...]
    beside: str = ""

    @property
    def contestant(self) -> str:
        """Who plays with it."""
        return f"{OURS} {self.other}"

    @property
    def base(self) -> str:
        """Who plays without."""
        return f"{OURS} {self.beside}" if self.beside else OURS


SETTINGS: Final = (
    Setting("a stream of cells for each slot, instead of one pool", _POOL, ("W1", "W3", "W4")),
    Setting("prefixes of resident sequences used again", "CHATBOT_ENGINE_WITHOUT=sharing", ("W1", "W2")),
    Setting("leader and followers of a new prefix", "CHATBOT_ENGINE_WITHOUT=following", ("W2",)),
    Setting("pinned system prompts, of a pool", "CHATBOT_ENGINE_WITHOUT=streams,pinning", ("W1",), _POOL),
    Setting("idle cells, of a pool", f"{_POOL} CHATBOT_ENGINE_IDLE_TOKENS=0", ("W1",), _POOL),
    Setting("main memory for evicted conversations", "CHATBOT_ENGINE_HOST_CACHE_MIB=0", ("W6",)),
    Setting("prompts in pieces by the time of a step", "CHATBOT_ENGINE_STEP_SECONDS=10", ("W1", "W4")),
    Setting("prompts in pieces alike, without a rest of few rows", "CHATBOT_ENGINE_WITHOUT=balance", ("W1", "W3")),
    Setting("prompts one after the other, then the answers", "CHATBOT_ENGINE_WITHOUT=turns", ("W1", "W3", "W4")),
    Setting("steps of 256 rows, not 64", "CHATBOT_ENGINE_STEP_TOKENS=64", ("W3", "W4")),
    Setting("steps of 256 rows, not 512", "CHATBOT_ENGINE_STEP_TOKENS=512", ("W3", "W4")),
    Setting("rows in the order of the cheapest graphs", "CHATBOT_ENGINE_WITHOUT=order", ("W1", "W4")),
    Setting("graphs parted by what they were measured to cost", "CHATBOT_ENGINE_WITHOUT=graphs", ("W1", "W3", "W4")),
    Setting("threads that sleep soon where they wait for each other", "GOMP_SPINCOUNT=300000", ("W1", "W3")),
    Setting("tokens chosen from a short list", "CHATBOT_ENGINE_WITHOUT=shortlist", ("W1", "W3")),
)


def contestants_with(settings: Iterable[Setting], workload: str) -> tuple[str, ...]:
    """Who plays a workload: ours twice, and each setting with what it is compared with."""
    found = [setting for setting in settings if workload in setting.workloads]
    others = [name for setting in found for name in (setting.base, setting.contestant)]
    return tuple(dict.fromkeys((OURS, OURS_AGAIN, *others)))


def setting_of(contestant: str) -> Setting:
    """The setting that a contestant plays with; one that nobody speaks of is compared with the defaults."""
    known: Mapping[str, Setting] = {setting.contestant: setting for setting in SETTINGS}
    return known.get(contestant) or Setting("", contestant.removeprefix(f"{OURS} "), ())
