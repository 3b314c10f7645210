"""`TextGenerator` over an OpenAI-compatible API: when to call, when again, and when to give up.

One deadline covers everything, retries included; the SDK's own retries are off, because retries belong to one layer
only. Nothing is tried again once text has left.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from openai import AsyncOpenAI, Omit

from chatbot.domain.chat import Dialogue
from chatbot.domain.errors import BackendUnavailable, ChatError, InvalidInput, PromptTooLong, TimedOut
from chatbot.domain.generation import Backend, GenerationEvent, GenerationRequest
from chatbot.domain.model import ModelInfo
from chatbot.domain.outside.breaker import Attempt, BreakerOpen, BreakerPolicy, CircuitBreaker
from chatbot.domain.outside.upstream_key import UpstreamKey, UpstreamKeyLimited, UpstreamKeyNeeded, UpstreamKeyRefused
from chatbot.llm.openai.call import Call
from chatbot.llm.openai.connection import KeyFile, connect
from chatbot.llm.openai.fault import Fault, FaultKind, fault_of
from chatbot.llm.openai.refused_keys import RefusedKeys
from chatbot.llm.openai.request import Dialect, messages, shortened
from chatbot.llm.openai.tools import MAX_CALLS as MAX_TOOL_CALLS
from chatbot.llm.resilience import RetryBudget

logger = logging.getLogger(__name__)

MAX_CALLS = 8
"""Calls for one answer: two tries, and what is learned of the server on the way (parameters, length of the prompt)."""
KEY_PAUSE_SECONDS = 300.0
"""A refused key is tried again when its file changes, or with a request after this time: nothing polls."""
OVERLOAD_PAUSE_SECONDS = 5.0
"""Pause where an overloaded server names none."""
_CALLERS_FIELDS = ("response_format", "tools", "tool_choice", "parallel_tool_calls")
PLAIN_SECONDS = 60.0
"""For so long nothing is streamed after a stream broke before its first token."""
RETRY_DELAY_SECONDS = (0.1, 0.5)


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Which API, and our bounds.

    Attributes:
        base_url: Of the API, with its version, without credentials.
        model: Model to ask for; "" switches the backend off.
        api_key_file: File that holds the key; None sends none.
        timeout_seconds: Deadline of an answer, retries included.
        max_concurrent: Connections at once.
        ca_file: PEM file of certificate authorities to trust besides the machine's own.
        user_field: Parameter that has the pseudonym of whoever asks; "none" sends none.
        free_mode: Whether it may be asked with our key; else only with keys of users.
    """

    base_url: str
    model: str
    api_key_file: Path | None = None
    timeout_seconds: float = 60.0
    max_concurrent: int = 16
    ca_file: Path | None = None
    user_field: str = "none"
    free_mode: bool = True


@dataclass(frozen=True, slots=True)
class _Key:
    """What a call is made with; `breaker` of its kind: users' troubles with their keys are not the service's."""

    text: str
    breaker: CircuitBreaker
    is_own: bool = False


@dataclass(slots=True)
class _Answer:
    """One answer in the making, over all its calls."""

    dialogue: Dialogue
    deadline: float
    streaming: bool
    own: UpstreamKey | None
    opened: bool = False
    retried: bool = False


class OpenAIGenerator:
    """An OpenAI-compatible API as a model backend.

    Raises, when it is made:
        ValueError: The environment names a proxy or authorities that cannot be used.
    """

    backend = Backend.OPENAI

    def __init__(
        self, options: OpenAIOptions, *, breaker: CircuitBreaker | None = None, rng: random.Random | None = None
    ) -> None:
        self._options = options
        self._breaker = breaker or CircuitBreaker(BreakerPolicy())
        self._own_breaker = CircuitBreaker(BreakerPolicy())
        self._refused_keys = RefusedKeys()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._budget = RetryBudget()
        self._dialect = Dialect()
        self._key = KeyFile(options.api_key_file)
        self._plain_until = 0.0
        self._client: AsyncOpenAI | None = None
        if options.model:
            self._client = connect(options.base_url, options.timeout_seconds, options.max_concurrent, options.ca_file)
        for library in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(library).setLevel(logging.WARNING)  # their debug lines hold whole requests

    def model(self) -> ModelInfo | None:
        """The configured model; its context length is the server's secret (0)."""
        if not self._options.model:
            return None
        return ModelInfo(self._options.model, revision="", sha256="", context_tokens=0, chat_format="")

    async def check(self, request: GenerationRequest) -> None:
        """Refuse where the backend is off or known not to answer now. Calls nothing.

        Raises:
            BackendUnavailable: With the seconds until the next try, where they are known.
            UpstreamKeyNeeded: Our key is not for users, and there is none of the user's own.
            UpstreamKeyRefused: That one was refused lately.
        """
        key = self._key_for(request.upstream_key)
        with _told_when_open():
            key.breaker.check()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Generate; see `TextGenerator.generate`.

        Raises:
            BackendUnavailable, TimedOut, PromptTooLong: With messages that are safe for logs.
            UpstreamKeyRefused, UpstreamKeyLimited: Of a user's own key.
        """
        now = time.monotonic()
        deadline = min(request.deadline, now + self._options.timeout_seconds)
        answer = _Answer(request.dialogue, deadline, now >= self._plain_until, request.upstream_key)
        self._budget.earn()
        for _ in range(MAX_CALLS):
            key = self._key_for(answer.own)
            with _told_when_open():
                attempt = key.breaker.attempt()
            started = False
            try:
                async with aclosing(self._events(request, answer, key.text)) as events:
                    async for event in events:
                        if not started:
                            attempt.succeeded()
                            started = True
                        yield event
                return
            except Exception as error:
                fault = self._judge(error, attempt, key)
                if started or not self._is_worth_another(fault, answer):
                    raise _told(fault, started, is_own=key.is_own) from error
            finally:
                attempt.release()
            await self._pause(answer)
        raise BackendUnavailable("the OpenAI-compatible backend takes no form of this request")

    async def close(self) -> None:
        """Give back the connections. Idempotent."""
        if self._client is not None:
            await self._client.close()

    def _key_for(self, own: UpstreamKey | None) -> _Key:
        """The user's own key, unless it was refused and ours may be used."""
        if not self._options.model:
            raise BackendUnavailable("no OpenAI-compatible backend is configured (CHATBOT_OPENAI_MODEL)")
        if own is not None and own.text in self._refused_keys:
            own.is_refused = True
            if not self._may_fall_back(own):
                raise UpstreamKeyRefused
        if own is not None and not own.is_refused:
            return _Key(own.text, self._own_breaker, is_own=True)
        if not self._options.free_mode:
            raise UpstreamKeyNeeded
        text, changed = self._key.read()
        if changed:
            self._breaker.reset()
        return _Key(text, self._breaker)

    async def _events(
        self, request: GenerationRequest, answer: _Answer, key: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        if self._client is None:
            raise BackendUnavailable("no OpenAI-compatible backend is configured (CHATBOT_OPENAI_MODEL)")
        parameters: dict[str, object] = {
            "model": self._options.model,
            "messages": messages(answer.dialogue),
            "extra_headers": {
                "Authorization": f"Bearer {key}" if key else Omit(),
                "traceparent": request.traceparent or Omit(),
            },
            **self._dialect.parameters(
                request.sampling, request.tools, streaming=answer.streaming, named=self._named(request)
            ),
        }
        most_calls = 1 if request.tools is not None and not request.tools.is_parallel else MAX_TOOL_CALLS
        call = Call(self._client, answer.deadline, parameters, most_calls)
        try:
            async with aclosing(call.streamed() if answer.streaming else call.whole()) as events:
                async for event in events:
                    yield event
        finally:
            answer.opened = call.opened
        self._dialect.usage_seen |= answer.streaming and call.usage_seen

    def _named(self, request: GenerationRequest) -> Mapping[str, str]:
        """Never the user's own name: he is unknown there."""
        name = self._options.user_field
        return {name: request.user} if name != "none" and request.user else {}

    def _judge(self, error: Exception, attempt: Attempt, key: _Key) -> Fault:
        """Classify, and tell the breaker. What is no fault of the backend goes on as it is."""
        fault = fault_of(error)
        if fault is None:
            raise error
        logger.warning("%s", fault.message, extra={"reason": fault.kind.name.lower()})
        if key.is_own and fault.kind in (FaultKind.KEY_REFUSED, FaultKind.OVERLOADED):
            attempt.succeeded()  # it answers, and at once: to others with other keys as well
            if fault.kind is FaultKind.KEY_REFUSED:
                self._refused_keys.add(key.text)
        elif fault.kind is FaultKind.KEY_REFUSED:
            attempt.refused(KEY_PAUSE_SECONDS)
        elif fault.kind is FaultKind.OVERLOADED:
            attempt.refused(fault.pause_seconds or OVERLOAD_PAUSE_SECONDS)
        elif fault.kind in (FaultKind.TOO_LONG, FaultKind.REFUSED_REQUEST):
            attempt.succeeded()  # it answers, and at once
        else:
            attempt.failed()
        return fault

    def _is_worth_another(self, fault: Fault, answer: _Answer) -> bool:
        """Whether to call again, and how; changes `answer` accordingly."""
        if fault.kind is FaultKind.REFUSED_REQUEST:
            return self._dialect.learn(fault.parameter, streaming=answer.streaming)
        if fault.kind is FaultKind.KEY_REFUSED and answer.own is not None and not answer.own.is_refused:
            answer.own.is_refused = True
            return self._may_fall_back(answer.own)
        if fault.kind is FaultKind.TOO_LONG:
            shorter = shortened(answer.dialogue)
            answer.dialogue = shorter or answer.dialogue
            return shorter is not None
        if fault.kind is not FaultKind.TRANSIENT:
            return False
        if answer.streaming and answer.opened:
            # Once in a minute at most, so this is no storm and needs no budget.
            answer.streaming = False
            self._plain_until = time.monotonic() + PLAIN_SECONDS
            return True
        may_retry = not answer.retried and self._budget.spend()
        answer.retried = True
        return may_retry

    def _may_fall_back(self, own: UpstreamKey) -> bool:
        return own.may_fall_back and self._options.free_mode

    async def _pause(self, answer: _Answer) -> None:
        """Wait a little before a retry, so that callers who failed together do not come back together."""
        if answer.retried:
            delay_seconds = self._rng.uniform(*RETRY_DELAY_SECONDS)
            await asyncio.sleep(max(0.0, min(delay_seconds, answer.deadline - time.monotonic())))


@contextmanager
def _told_when_open() -> Iterator[None]:
    try:
        yield
    except BreakerOpen as exc:
        raise BackendUnavailable("the OpenAI-compatible backend failed; paused", exc.retry_after_seconds) from None


def _told(fault: Fault, started: bool, *, is_own: bool) -> ChatError:
    """The domain's error for a fault."""
    if is_own and fault.kind is FaultKind.KEY_REFUSED:
        return UpstreamKeyRefused()
    if is_own and fault.kind is FaultKind.OVERLOADED:
        return UpstreamKeyLimited(max(1, round(fault.pause_seconds)))
    if fault.kind is FaultKind.TIMED_OUT and not started:
        return TimedOut("generation")
    if fault.kind is FaultKind.TOO_LONG:
        return PromptTooLong("question", 0, 0)
    if fault.kind is FaultKind.REFUSED_REQUEST:
        named = next((field for field in _CALLERS_FIELDS if (fault.parameter or "").startswith(field)), None)
        if named is not None:
            return InvalidInput(named, "not_supported_remotely")
    retry_after_seconds = round(fault.pause_seconds) or None
    return BackendUnavailable(fault.message, retry_after_seconds)
