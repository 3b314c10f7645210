"""What can go wrong for a caller, grouped by what the caller can do about it.

ChatError
├── InvalidInput            mend the named field and send again
│   ├── PromptTooLong       shorten the named field
│   └── TurnReused          take another Idempotency-Key
├── MalformedBody           mend the body: it is not what the content type says
├── BodyTooLarge            send less
├── Unauthorized            send a valid API key
│   ├── UserTokenInvalid    the key is valid: get a new token of the user beside it
│   └── GatewayUserInvalid  the gateway says badly who the user is: its operator mends that
├── Forbidden               this is not for this caller
│   ├── ScopeMissing        the key may not do this
│   ├── ServiceNotAllowed   the key is for another service
│   ├── ModelNotAllowed     the key is for another backend
│   ├── AddressNotAllowed   the key is for other networks
│   ├── TenantSuspended     the operator has suspended the key's tenant
│   └── UserMismatch        the key speaks for another user
├── NotFound                there is nothing at this address
│   ├── ConversationNotFound
│   ├── ModelNotFound
│   ├── DocumentNotFound
│   ├── FileNotFound
│   ├── VectorStoreNotFound
│   ├── DocumentsOff        this service keeps no documents
│   ├── CharacterNotFound
│   ├── CharactersOff       this service keeps no characters
│   └── KeyNotFound         for administrators
├── ConversationErased      it was erased while the answer was made
├── DocumentQuota           erase documents first
├── CharacterQuota          erase characters first
├── CharacterReadOnly       take another name: whoever operates the service keeps this one
├── Busy                    come back after `retry_after_seconds`
├── RateLimited             a limit (in `chatbot.domain.limits`): come back after `retry_after_seconds`
│   └── QuotaSpent          of a day or a month: trying again soon is in vain
├── TimedOut                the deadline passed
└── Unavailable             come back later; `retry_after_seconds` where it is known
    ├── ModelUnavailable
    ├── BackendUnavailable  the second backend, or none configured
    │   └── BudgetUnavailable   what it costs, or what is left, cannot be told (in `chatbot.domain.limits`)
    ├── EmbeddingUnavailable  what makes vectors of texts
    ├── StoreUnavailable
    │   ├── DocumentsUnavailable
    │   └── CharactersUnavailable
    ├── KeysUnavailable     whether the key is valid cannot be found out now
    ├── Draining            this process is shutting down
    └── EngineLost          the engine process died under this generation

No error carries text of a user. HTTP statuses live in `chatbot.api.errors` alone.
"""


class ChatError(Exception):
    """Something that the caller is told about."""


class InvalidInput(ChatError):
    """A field is wrong.

    Args:
        field: Name of the field as the caller wrote it, never its value.
        problem: Key of the text that says what is wrong and what to send instead.
        limits: Numbers that the text shows (`maximum`, `minimum`…).
    """

    def __init__(self, field: str, problem: str, **limits: int | float | str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.limits = limits


class PromptTooLong(InvalidInput):
    """The named field does not fit the model's context, even without any history.

    `context_tokens` is 0 where nobody knows it: a remote server does not tell.
    """

    def __init__(self, field: str, prompt_tokens: int, context_tokens: int) -> None:
        problem = "prompt_too_long" if context_tokens else "prompt_too_long_remotely"
        super().__init__(field, problem, prompt_tokens=prompt_tokens, context_tokens=context_tokens)


class TurnReused(InvalidInput):
    """An `Idempotency-Key` came again with another question."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key", "turn_reused")


class MalformedBody(ChatError):
    """The body cannot be read.

    Args:
        problem: One of not_json, not_utf8, not_an_object, nan, surrogate, too_deep, truncated.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class BodyTooLarge(ChatError):
    """The body is larger than `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class Unauthorized(ChatError):
    """The API key is missing, unknown or expired; the caller is not told which."""


class UserTokenInvalid(Unauthorized):
    """The key is valid, and asks for a token of its user, which is missing, over or not of the key's signer."""


class GatewayUserInvalid(Unauthorized):
    """The gateway is believed, and its header `field` names nobody, or more than one."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Forbidden(ChatError):
    """Nobody without an API key may do this here."""


class ScopeMissing(Forbidden):
    """The key is valid and lacks `scope`, one of `chatbot.domain.access.Scope`."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class ServiceNotAllowed(Forbidden):
    """The key is not for this service."""


class ModelNotAllowed(Forbidden):
    """The key is not for this backend's model."""


class AddressNotAllowed(Forbidden):
    """The key may not be used from the caller's address."""


class TenantSuspended(Forbidden):
    """The tenant may do nothing until its operator says otherwise."""


class UserMismatch(Forbidden):
    """The key speaks for one user, and the request's `field` names another."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class NotFound(ChatError):
    """There is nothing at this address."""


class ConversationNotFound(NotFound):
    """This user has no conversation of that name."""


class ModelNotFound(NotFound):
    """The request names a model that is not served here."""


class DocumentNotFound(NotFound):
    """This user has no document of that id."""


class FileNotFound(NotFound):
    """This user has no file of that id, or not in that store."""


class VectorStoreNotFound(NotFound):
    """This user has no vector store of that id."""


class DocumentsOff(NotFound):
    """This service keeps no documents."""


class CharacterNotFound(NotFound):
    """This tenant has no character of that name."""


class CharactersOff(NotFound):
    """This service keeps no characters."""


class KeyNotFound(NotFound):
    """There is no key of that id, or it was revoked or rotated before."""


class CharacterQuota(ChatError):
    """This tenant keeps as many characters as it may."""


class CharacterReadOnly(ChatError):
    """The character of this name is curated: it changes where whoever operates the service keeps it."""


class DocumentQuota(ChatError):
    """This user keeps as many documents as they may."""


class ConversationErased(ChatError):
    """The conversation was erased while the answer was made; the turn was not stored."""


class Busy(ChatError):
    """The line is too long.

    Args:
        retry_after_seconds: Whole seconds, >= 1, after which a place is expected.
        queue_size: Requests waiting now.
    """

    def __init__(self, retry_after_seconds: int, queue_size: int) -> None:
        super().__init__(f"retry after {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds
        self.queue_size = queue_size


class TimedOut(ChatError):
    """The deadline passed.

    Args:
        phase: "queue" (never started) or "generation" (started, but no text in time).
    """

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class Unavailable(ChatError):
    """This cannot be served now. `retry_after_seconds` is None where nobody knows."""

    def __init__(self, message: str = "", retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelUnavailable(Unavailable):
    """No model is served yet, or the last one failed."""


class BackendUnavailable(Unavailable):
    """The OpenAI-compatible backend does not answer, or none is configured."""


class EmbeddingUnavailable(Unavailable):
    """The embedding model does not answer; what was asked for in vain may be asked again."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, retry_after_seconds=5)


class StoreUnavailable(Unavailable):
    """The conversation store does not answer."""


class KeysUnavailable(Unavailable):
    """The key store does not answer; the key was not judged, so it is not to be thrown away."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, retry_after_seconds=5)


class CharactersUnavailable(StoreUnavailable):
    """The store of characters does not answer."""


class AuditUnavailable(StoreUnavailable):
    """What is to be done cannot be recorded, so it is not done."""


class DocumentsUnavailable(StoreUnavailable):
    """The store of documents does not answer."""


class Draining(Unavailable):
    """This process is shutting down; another one takes the request at once."""

    def __init__(self) -> None:
        super().__init__("draining", retry_after_seconds=1)


class EngineLost(Unavailable):
    """The engine process died while this generation ran."""
