"""The kinds of load users, by the name that scenarios and `test_type` have for them."""

from collections.abc import Mapping
from typing import Any, Final

from locust import task

from chatbot_loadtest.users.client import LoadUser, Run, conversation_id
from chatbot_loadtest.users.questions import PERSONAS, TURNS, question, v1_body


class OfficeUser(LoadUser):
    """Talks to the business assistant, several turns to a conversation."""

    abstract = True
    kind = "office"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.turn = 0
        self.conversation = conversation_id()

    @task
    def say(self) -> None:
        """The next turn; a new conversation after the last, or where one was not answered."""
        answered = self.ask(self.body(), self.fields().get("character_name", ""))
        self.turn = (self.turn + 1) % TURNS if answered else 0
        if self.turn == 0:
            self.conversation = conversation_id()

    def body(self) -> dict[str, Any]:
        """What is sent."""
        text = question(self.turn, self.number)
        return {"input_data": text, "user_id": f"load-{self.client_id}", "db_id": self.conversation} | self.fields()

    def fields(self) -> dict[str, str]:
        """More than the office takes."""
        return {}


class CharacterUser(OfficeUser):
    """Talks to a persona."""

    abstract = True
    kind = "character"
    service = "character"

    def fields(self) -> dict[str, str]:
        """The persona."""
        return dict(PERSONAS[self.number % len(PERSONAS)])


class OfficeStreamUser(OfficeUser):
    """Reads the answer while it is made."""

    abstract = True
    kind = "office_stream"
    streams = True


class CharacterStreamUser(CharacterUser):
    """Reads a persona's answer while it is made."""

    abstract = True
    kind = "character_stream"
    streams = True


class OpenAIUser(OfficeUser):
    """Asks the second backend."""

    abstract = True
    kind = "openai"
    path = "/OpenAI"


class V1User(OfficeUser):
    """Speaks OpenAI's wire format."""

    abstract = True
    kind = "v1"
    path = "/v1/chat/completions"

    def body(self) -> dict[str, Any]:
        """As an OpenAI client sends it."""
        return v1_body(self.run_of.model, self.turn, self.number)


class GreedyUser(OfficeUser):
    """Many clients in the name of one user, none of which ever thinks."""

    abstract = True
    kind = "greedy"

    def wait_time(self) -> float:
        """None."""
        return 0.0

    def body(self) -> dict[str, Any]:
        """Single questions of one and the same user."""
        return {"input_data": question(0, self.number), "user_id": "load-greedy"}


KINDS: Final[Mapping[str, type[LoadUser]]] = {
    kind.kind: kind
    for kind in (OfficeUser, CharacterUser, OfficeStreamUser, CharacterStreamUser, OpenAIUser, V1User, GreedyUser)
}


def user_classes(run: Run, mix: Mapping[str, int], greedy_clients: int) -> list[type[LoadUser]]:
    """Classes for one run, so that nothing of it is left on the module."""
    made = [_bound(KINDS[name], run, weight=weight) for name, weight in mix.items()]
    return [*made, _bound(KINDS["greedy"], run, fixed_count=greedy_clients)] if greedy_clients else made


def _bound(kind: type[LoadUser], run: Run, **counts: int) -> type[LoadUser]:
    return type(kind.__name__, (kind,), {"abstract": False, "run_of": run, **counts})
