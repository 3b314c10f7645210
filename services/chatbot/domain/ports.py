"""What the core needs from the outside; the edge implements it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from chatbot.domain.access import KeyRecord, Principal
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.generation import Backend, FinishReason, GenerationEvent, GenerationRequest
from chatbot.domain.limits import Limits
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary
from chatbot.domain.model import ModelInfo


class TextGenerator(Protocol):
    """A model backend."""

    backend: Backend

    def model(self) -> ModelInfo | None:
        """The model that answers now, or None where there is none."""

    async def check(self, request: GenerationRequest) -> None:
        """Refuse what can never be answered, before the request takes a place in the line.

        Raises:
            PromptTooLong: It does not fit the context even without history.
            InvalidInput: Answers or calls cannot be held to the schema that was asked for.
            BackendUnavailable: It is known that this backend does not answer now.
        """

    def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        """Generate; pieces of text or whole calls of tools and, last, `Finished`. Closing cancels within one step.

        At the request's deadline the iterator ends with `Finished(LENGTH)` and what there is. A call that was cut is
        never told; `Finished(TOOL_CALLS)` is the end of a generation that called and was not cut.

        Raises:
            PromptTooLong: As above.
            TimedOut: The deadline passed before the first token.
            EngineLost: The engine died; raised at most once per engine death.
            ModelUnavailable, BackendUnavailable: No backend to generate on.
        """


class ConversationStore(Protocol):
    """History. Every call answers within 3 s or raises `StoreUnavailable`."""

    async def load(self, key: ConversationKey) -> Conversation:
        """Read a conversation; one that does not exist is empty with epoch 0."""

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """Store a turn as one atomic update, if the epoch has not moved.

        Idempotent: where a turn of that id is there already, it is returned and nothing is written.

        Returns:
            The turn that is stored now.

        Raises:
            ConversationErased: The epoch has moved.
            StoreUnavailable: It is not known whether the turn was stored; calling again is safe.
        """

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> bool:
        """Set what stands beside the turns, as one atomic update; None leaves one of them as it is.

        Only where there is a turn: nothing of an erased conversation, or user, can come back by it. How long the
        conversation is kept does not change.

        Returns:
            Whether there is one.
        """

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        """Keep a summary of a conversation as it was read, as one atomic update.

        Only where its epoch has not moved, its summary is the one that was read, and the last turn that the new one
        covers is there: nothing of an erased conversation, or user, can come back by it, and of several that were made
        at once the first is kept. How long the conversation is kept does not change.

        Returns:
            Whether it is kept.
        """

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        """Put other proposals in the place of a turn's, as one atomic update, where they still are as in `turn`.

        Of two processes that swap the same ones, one does. How long the conversation is kept does not change.

        Returns:
            Whether it was done.
        """

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations that have turns, ordered by `db_id`, after `after`."""

    async def erase(self, key: ConversationKey) -> None:
        """Empty a conversation and raise its epoch, also where it does not exist yet. Idempotent."""

    async def retract(self, key: ConversationKey, turn_id: str) -> None:
        """Take one turn back with the summary, and its conversation where that has no other turn. Idempotent."""

    async def ping(self) -> None:
        """Raise `StoreUnavailable` where the store does not answer."""

    async def close(self) -> None:
        """Give back connections and files."""


class KeyStore(Protocol):
    """Where keys are kept. Every call answers within 3 s or raises `StoreUnavailable`."""

    async def version(self) -> int:
        """A number that rises after every `add`, `change` and `limit`: replicas see that they must read again."""

    async def find(self, key_ids: Collection[str]) -> Mapping[str, KeyRecord]:
        """Those of the keys that there are, by id."""

    async def listing(self) -> tuple[KeyRecord, ...]:
        """All keys, by tenant and age."""

    async def add(self, record: KeyRecord) -> None:
        """Keep a new key.

        Raises:
            KeyError: There is one of that id.
        """

    async def change(self, record: KeyRecord) -> None:
        """Keep the record's end, `is_disabled` and `replaced_by`; the rest of a key never changes.

        Raises:
            KeyError: There is none of that id.
        """

    async def limit(self, key_id: str, limits: Limits) -> None:
        """Put other limits in the place of a key's; nothing else of it changes.

        Raises:
            KeyError: There is none of that id.
        """

    async def mark_used(self, at: Mapping[str, float]) -> None:
        """Note when keys were used last, Unix seconds by id; an earlier time than the noted one changes nothing."""

    async def rewrite(self, digests: Mapping[str, tuple[str, bytes]]) -> None:
        """Put digests under another pepper in place: id -> (id of the pepper, digest)."""

    async def close(self) -> None:
        """Give back connections and files."""


class TokenCheck(Protocol):
    """Tokens that somebody else issues."""

    async def principal(self, token: str) -> Principal:
        """Who presents a token.

        Raises:
            Unauthorized: It is not of the issuer, not for us, over, or says too little.
            KeysUnavailable: The issuer's keys cannot be had now.
        """


class UserTokenCheck(Protocol):
    """Tokens with which a key's owner says who its user is."""

    def user(self, token: str, signer: str, tenant: str) -> str:
        """The user whom a token names.

        Args:
            token: What came.
            signer: Public key of the owner, PEM.
            tenant: Whose token it must be.

        Raises:
            UserTokenInvalid: It is not of the signer, not for the tenant, over, valid for too long, or says too little.
        """


class Telemetry(Protocol):
    """What happened, for whoever counts it. Never text of a user, never a user's id."""

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        """A request left the line, or was refused a place.

        Args:
            service: Service whose request it was.
            outcome: dispatched, rejected_wait, rejected_full, rejected_unavailable, expired, client_gone
                or shutdown.
            wait_seconds: Time in the line; 0 for a refusal.
        """

    def first_token(self, service: str, seconds: float) -> None:
        """Seconds from the request's arrival to its first token."""

    def inter_token(self, service: str, seconds: float) -> None:
        """Seconds between two pieces of one answer."""

    def generation_ended(
        self, service: str, finish: FinishReason | str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """A generation ended: its finish reason, else `cancelled`, `timeout` or `error`."""

    def store_operation(self, operation: str, outcome: str, seconds: float) -> None:
        """A store call ended with `ok`, `conflict` or `unavailable`."""
