"""`make bench`, `bench-settings`, `bench-full` and one that tests can run: which workloads, how big, who takes part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine_bench.load.chat import Apart, Burst, Chat
from engine_bench.load.leaving import Leaving
from engine_bench.load.mixed import Mixed
from engine_bench.load.ramp import Ramp
from engine_bench.load.returning import Returning
from engine_bench.load.workload import Workload
from engine_bench.servers.contestants import EXAMPLE, LLAMA_SERVERS, OURS, OURS_AGAIN, SERIAL, TUNED
from engine_bench.settings import SETTINGS, contestants_with

_A, _B, _C, _E = LLAMA_SERVERS


@dataclass(frozen=True, slots=True)
class Size:
    """One of the benches.

    Attributes:
        shape: Of the model, a name of `model_file.SHAPES`.
        contestants: Names per workload.
        has_ceilings: Whether llama.cpp's own benches are run too.
    """

    shape: str
    rounds: int
    workloads: tuple[Workload, ...]
    contestants: Mapping[str, tuple[str, ...]]
    has_ceilings: bool = True


_FEW: Final = (OURS, OURS_AGAIN, _A, _E, TUNED)
_TWO: Final = (OURS, OURS_AGAIN, _A)
_ALL: Final = (OURS, OURS_AGAIN, _A, _B, _C, _E, TUNED)

_SETTINGS_WORKLOADS: Final = (
    Chat(),
    Burst(),
    Apart(),
    Mixed(longs=1),
    Returning(conversations=100, returning=20),
)

SIZES: Final[Mapping[str, Size]] = {
    "try": Size(
        "tiny",
        2,
        (
            Chat(clients=2, personas=2, persona_tokens=60, turns=2, question_tokens=10, answer_tokens=8, alone=1),
            Burst(sizes=(3,), prefix_tokens=80, tail_tokens=5, answer_tokens=4, slots=2),
            Apart(clients=2, prompts=4, prompt_tokens=20, answer_tokens=4),
            Mixed(streams=2, stream_tokens=40, longs=1, long_tokens=600, lead_seconds=0.0, slots=3),
            Ramp(stages=(2, 4), stage_seconds=1.0, persona_tokens=30, think_seconds=0.2, answer_tokens=8),
            Returning(conversations=12, system_tokens=60, returning=3, slots=2),
            Leaving(leaves=3, prefill_tokens=1500, prefill_seconds=0.05, answer_tokens=1500, settle_seconds=0.05),
        ),
        {
            "W1": (OURS, _A, OURS_AGAIN),
            "W2": (OURS, _C, OURS_AGAIN),
            "W3": (OURS, _A, SERIAL, OURS_AGAIN),
            "W4": (OURS, _A, TUNED, OURS_AGAIN),
            "W5": _TWO,
            "W6": _TWO,
            "W7": _TWO,
        },
        has_ceilings=False,
    ),
    "bench": Size(
        "small",
        3,
        (Chat(), Burst(), Apart(), Mixed(longs=1)),
        {"W1": _FEW, "W2": _FEW, "W3": (*_FEW, SERIAL), "W4": _FEW},
    ),
    "settings": Size(
        "small",
        3,
        _SETTINGS_WORKLOADS,
        {workload.name: contestants_with(SETTINGS, workload.name) for workload in _SETTINGS_WORKLOADS},
        has_ceilings=False,
    ),
    "full": Size(
        "large",
        5,
        (Chat(), Burst(sizes=(8, 32)), Apart(), Mixed(), Ramp(), Returning(), Leaving(leaves=33)),
        {
            "W1": (*_ALL, EXAMPLE, SERIAL),
            "W2": (*_ALL, EXAMPLE),
            "W3": (*_ALL, EXAMPLE, SERIAL),
            "W4": _ALL,
            "W5": _TWO,
            "W6": _TWO,
            "W7": _TWO,
        },
    ),
}
