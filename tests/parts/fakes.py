"""Small stand-ins for the core's ports, for tests without an engine or a store."""

from chatbot.domain.generation import FinishReason


class CountingTelemetry:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.left: list[tuple[str, str, float]] = []
        self.ended: list[tuple[str, FinishReason | str, int, int]] = []
        self.stored: list[tuple[str, str]] = []
        self.first_tokens: list[float] = []
        self.inter_tokens: list[float] = []

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        self.left.append((service, outcome, wait_seconds))

    def first_token(self, service: str, seconds: float) -> None:
        self.first_tokens.append(seconds)

    def inter_token(self, service: str, seconds: float) -> None:
        self.inter_tokens.append(seconds)

    def generation_ended(
        self, service: str, finish: FinishReason | str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        self.ended.append((service, finish, prompt_tokens, completion_tokens))

    def store_operation(self, operation: str, outcome: str, seconds: float) -> None:
        self.stored.append((operation, outcome))

    def outcomes(self) -> list[str]:
        """Outcomes of the line, in order."""
        return [outcome for _, outcome, _ in self.left]
