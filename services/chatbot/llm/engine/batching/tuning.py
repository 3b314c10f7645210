"""What batching does beyond the necessary; each part can be left out, to measure what it is worth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from chatbot.llm.engine.frames import LoadFrame

STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Tuning:
    """Switches and one time.

    Attributes:
        can_share: Whether resident prefixes are used again.
        may_follow: Whether a request waits for another one that computes its prefix.
        may_pin: Whether system prompts are kept in sequences of their own.
        may_order: Whether rows are put in the order of the graphs that cost least, instead of as they come.
        may_balance: Whether a prompt is cut into pieces alike, instead of as much as fits and a rest.
        may_take_turns: Whether prompts are read one after the other, and the answers behind them, where each sequence
            has a stream, instead of all in one call.
        may_shorten: Whether tokens are chosen among the highest logits instead of among all.
        step_seconds: Prompts are cut so that one token of the answers comes about this long after another.
        graph_costs: What graphs cost here; None: how many rows one has makes no difference.
    """

    can_share: bool = True
    may_follow: bool = True
    may_pin: bool = True
    may_order: bool = True
    may_balance: bool = True
    may_take_turns: bool = True
    may_shorten: bool = True
    step_seconds: float = STEP_SECONDS
    graph_costs: GraphCosts | None = None

    @classmethod
    def of(cls, frame: LoadFrame, *, can_share: bool, measure: Callable[[], GraphCosts | None]) -> Self:
        """As a `load` frame wants it; nothing is shared where the model's memory cannot be cut.

        Args:
            frame: The frame.
            can_share: Whether it can.
            measure: What graphs cost here, if that is of use.
        """
        without = frame.get("without", [])
        return cls(
            can_share=can_share and "sharing" not in without,
            may_follow="following" not in without,
            may_pin="pinning" not in without,
            may_order="order" not in without,
            may_balance="balance" not in without,
            may_take_turns="turns" not in without,
            may_shorten="shortlist" not in without,
            step_seconds=frame.get("step_seconds", STEP_SECONDS),
            graph_costs=None if "graphs" in without else measure(),
        )
