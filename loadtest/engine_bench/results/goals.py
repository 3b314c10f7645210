"""Which figures are compared, which one decides who is best, and what was promised."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BEST, DEFAULT, TUNED, SERIAL, OWN = "best", "default", "tuned", "serial", "own"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    Attributes:
        name: In the runs.
        text: For people.
        more_is_better: Whether a ratio above 1 is good.
        scale: For printing; 1000 prints milliseconds.
        unit: After scaling.
    """

    name: str
    text: str
    more_is_better: bool
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise.

    Attributes:
        against: best llama-server; default: the best of those with its own batch size; tuned: the one with our budget;
            serial: the serial design; own: the figure itself, no ratio.
        limit: Bound of the median.
        at_least: Whether it is a lower bound.
    """

    workload: str
    figure: str
    against: str
    limit: float
    at_least: bool
    text: str


_SPEED = Figure("tokens_per_second", "tokens/s", True)
_CPU = Figure("tokens_per_cpu_second", "tokens per CPU second", True)
_FIRST = Figure("ttft_p50", "TTFT p50", False, unit="s")
_FIRST_95 = Figure("ttft_p95", "TTFT p95", False, unit="s")
_GAP = Figure("itl_p99", "gap p99", False, 1000, "ms")
_COMPUTED = Figure("prompt_tokens_computed", "prompt tokens computed", False)

FIGURES: Final[Mapping[str, tuple[Figure, ...]]] = {
    "W1": (
        _SPEED,
        _CPU,
        _FIRST,
        _FIRST_95,
        Figure("ttft_first_p50", "TTFT p50, first turn", False, unit="s"),
        Figure("ttft_later_p50", "TTFT p50, later turns", False, unit="s"),
        Figure("second_turn_of_cold", "second turn's TTFT / cold, alone", False),
        _GAP,
        _COMPUTED,
    ),
    "W2": (
        _SPEED,
        _CPU,
        _FIRST,
        _FIRST_95,
        _COMPUTED,
        Figure("tokens_per_second_32", "tokens/s, burst of 32", True),
        Figure("ttft_p50_32", "TTFT p50, burst of 32", False, unit="s"),
        Figure("prompt_tokens_computed_32", "prompt tokens computed, burst of 32", False),
    ),
    "W3": (_SPEED, _CPU, _FIRST, _FIRST_95, _GAP, _COMPUTED),
    "W4": (
        Figure("itl_beside_p99", "gap p99 beside a long prompt", False, 1000, "ms"),
        Figure("itl_beside_p50", "gap p50 beside a long prompt", False, 1000, "ms"),
        Figure("itl_beside_max", "longest gap beside a long prompt", False, 1000, "ms"),
        Figure("itl_quiet_p50", "gap p50 without one", False, 1000, "ms"),
        Figure("ttft_long", "TTFT of the long prompt", False, unit="s"),
        _CPU,
    ),
    "W5": (
        Figure("goodput_last", "answers within limits per s, most users", True),
        Figure("goodput_of_best", "the same / the best stage's", True),
        Figure("answered_share", "users' questions answered in the end", True),
        Figure("jain", "Jain's fairness index", True),
    ),
    "W6": (
        Figure("restored_of_cold", "TTFT of a turn after eviction / cold", False),
        Figure("ttft_restored_p50", "TTFT p50 of a turn after eviction", False, unit="s"),
        _COMPUTED,
    ),
    "W7": (
        Figure("freed_decode_p50", "row free after a leave in decode, p50", False, unit="s"),
        Figure("freed_prefill_p50", "row free after a leave in prefill, p50", False, unit="s"),
        Figure("freed_queued_p50", "row free after a leave in the line, p50", False, unit="s"),
    ),
}
_MEMORY: Final = "peak memory / (weights + cells + compute + host cache + 300 MB)"
PRIMARY: Final[Mapping[str, tuple[str, bool]]] = {
    name: (figures[0].name, figures[0].more_is_better) for name, figures in FIGURES.items()
}
GOALS: Final = (
    Goal("W1", "tokens_per_second", BEST, 1.25, True, "shared persona, turns: tokens/s"),
    Goal("W1", "ttft_p50", BEST, 0.75, False, "shared persona, turns: time to first token"),
    Goal("W1", "second_turn_of_cold", OWN, 0.12, False, "second turn's time to first token / cold"),
    Goal("W2", "tokens_per_second", BEST, 2.5, True, "burst with one new prefix: tokens/s"),
    Goal("W2", "computed_of_least", OWN, 1.1, False, "burst: prompt tokens computed / (one prefix + tails)"),
    Goal("W3", "tokens_per_second", BEST, 1.0, True, "nothing shared: tokens/s"),
    Goal("W3", "tokens_per_second", SERIAL, 4.0, True, "8 clients against the serial design: tokens/s"),
    Goal("W4", "itl_beside_p99", DEFAULT, 0.5, False, "gap p99 beside a long prompt, their batch size"),
    Goal("W4", "itl_beside_p99", TUNED, 1.0, False, "gap p99 beside a long prompt, our batch size"),
    Goal("W5", "goodput_of_best", OWN, 0.9, True, "goodput with 200 users / the best"),
    Goal("W5", "answered_share", OWN, 1.0, True, "every user gets an answer"),
    Goal("W6", "restored_of_cold", OWN, 0.35, False, "time to first token after eviction / cold"),
    *(Goal(name, "memory_of_allowed", OWN, 1.0, False, _MEMORY) for name in ("W1", "W4", "W6")),
)
