"""What the engine counts; the heartbeat carries it to the metrics of the other process."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Counts since the start; seconds and tokens. The names are the keys of the heartbeat's `stats`.

    Attributes:
        step_seconds: Inside llama_decode.
        overhead_seconds_build: Admission and filling the batch.
        overhead_seconds_sample: Choosing tokens.
        overhead_seconds_deliver: Text, ends and bookkeeping.
        host_restores: Prompts that something came back for from main memory.
        aborted_steps: Steps that were given up because a prompt they read was cancelled.
        prefix_queried: Prompt tokens that were looked up; `prefix_hit_*` are those found, by how.
    """

    steps: int = 0
    rows: int = 0
    step_seconds: float = 0.0
    overhead_seconds_build: float = 0.0
    overhead_seconds_sample: float = 0.0
    overhead_seconds_deliver: float = 0.0
    prefix_queried: int = 0
    prefix_hit_in_place: int = 0
    prefix_hit_fork: int = 0
    prefix_hit_follower: int = 0
    prefix_hit_host: int = 0
    host_restores: int = 0
    preemptions: int = 0
    decode_errors: int = 0
    aborted_steps: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0

    def hit(self, how: str, tokens: int) -> None:
        """Count prompt tokens that were resident."""
        if how != "new":
            name = f"prefix_hit_{how}"
            setattr(self, name, getattr(self, name) + tokens)

    def as_stats(self) -> dict[str, float]:
        """All of them, by name."""
        return {name: float(value) for name, value in asdict(self).items()}
