"""How far the loop may go for one answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentBounds:
    """Bounds of one answer; past them it is answered with what is there.

    Attributes:
        rounds: Generations; in the last one nothing can be called, so that there is an answer.
        calls: Calls of all rounds.
        calls_at_once: Calls of one round.
        tool_seconds: One call.
        all_tools_seconds: All calls of an answer, as the clock goes.
        result_bytes: One result, as it is shown to the model.
        context_share: All results together, of the model's context.
        confirm_seconds: How long a call that asks first can be confirmed.
        breaker_failures: Failures of a tool in a row after which it is not tried for `breaker_seconds`.
    """

    rounds: int = 4
    calls: int = 8
    calls_at_once: int = 4
    tool_seconds: float = 5.0
    all_tools_seconds: float = 20.0
    result_bytes: int = 4096
    context_share: float = 0.25
    confirm_seconds: float = 600.0
    breaker_failures: int = 5
    breaker_seconds: float = 30.0
