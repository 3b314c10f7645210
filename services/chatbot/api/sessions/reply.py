"""What `POST /chat` gives: one JSON object, or the events of `/Llama` with that object in the last one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, computed_field

from chatbot.api import errors
from chatbot.api.chat import ProductFormat, done_fields, sse
from chatbot.api.documents.schemas import Source, source_view
from chatbot.api.style.told import style_fields
from chatbot.api.tools.confirming import ConfirmationView, confirmation_views
from chatbot.api.wire.context import RequestContext
from chatbot.core.question import AnswerEvent, Done
from chatbot.core.retrieval.citations import checked
from chatbot.domain.documents import Found
from chatbot.domain.generation import Backend
from chatbot.domain.outside.upstream_key import UpstreamKey, is_on_own_key


class ToolLine(BaseModel):
    """A call of one of the service's own tools."""

    name: str
    ok: bool
    seconds: float


class SessionUsage(BaseModel):
    """Tokens. `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    total_tokens: int


class WebSource(BaseModel):
    """A page that the model was given. `number` is its number in the answer."""

    number: int
    title: str
    url: str
    cited: bool


class SearchState(BaseModel):
    """Whether the web was used, and why not."""

    state: str
    reason: str | None


class SessionReply(BaseModel):
    """An answer. Two names of one value exist for clients of older products. Times in seconds."""

    response: str
    session_id: str | None = Field(description="Null where nothing is remembered: nobody was named.")
    sources: list[Source | WebSource] = Field(
        description="Passages of documents, then pages of the web, numbered together."
    )
    search: SearchState | None = Field(description="Null where neither `google_access` nor a tool used the web.")
    tool_calls: list[ToolLine]
    usage: SessionUsage
    execution_time: float
    success: bool
    error_message: str | None
    api_key_source: str = Field(description="Whose key the second backend was asked with: user, default, or none.")
    finish_reason: str
    history_saved: bool | None
    request_id: str
    style_violations: list[str] | None = Field(
        None, description="Rules of the character that the answer does not keep; absent where it has none."
    )
    segments: list[str] | None = Field(None, description="With `speech`: the answer for a voice.")
    confirmations: list[ConfirmationView] | None = Field(
        None, description="Calls that were not run: send their ids as `confirm` in this session. Absent: none."
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def response_text(self) -> str:
        """The same as `response`."""
        return self.response

    @computed_field  # type: ignore[prop-decorator]
    @property
    def response_time(self) -> float:
        """The same as `execution_time`."""
        return self.execution_time

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_tokens_used(self) -> int:
        """The same as `usage.total_tokens`."""
        return self.usage.total_tokens


@dataclass(frozen=True, slots=True)
class SessionFormat:
    """The reply of one message.

    Attributes:
        context: Of the request; knows at the end which backend answered.
        session_id: None where nothing is remembered.
        passages: That the model was given, by number.
        began: Monotonic seconds.
        key: Of the user's own; knows at the end whether it answered.
    """

    product: ProductFormat
    context: RequestContext
    session_id: str | None
    passages: tuple[Found, ...]
    began: float
    key: UpstreamKey | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the answer is sent in pieces."""
        return self.product.is_stream

    def whole(self, done: Done) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an answer in one piece."""
        _, headers = self.product.whole(done)
        return self._reply(done).model_dump_json(exclude=_unsaid(done)).encode(), {
            **headers,
            "Cache-Control": "no-store",
        }

    def stream_headers(self) -> Mapping[str, str]:
        """Headers of a stream."""
        return self.product.stream_headers()

    def event(self, event: AnswerEvent) -> bytes:
        """One server-sent event; the last one has the whole reply."""
        if isinstance(event, Done):
            reply = self._reply(event).model_dump(mode="json", exclude=_unsaid(event))
            return sse("done", done_fields(event) | reply)
        return self.product.event(event)

    def error(self, error: Exception, context: RequestContext) -> bytes:
        """The body of the HTTP error as an event."""
        return sse("error", errors.describe_session(error, context.language, context.request_id))

    def _key_source(self) -> str:
        if self.context.backend is not Backend.OPENAI:
            return "none"
        return "user" if is_on_own_key(self.key) else "default"

    def _reply(self, done: Done) -> SessionReply:
        told = done_fields(done)
        usage: dict[str, Any] = told["usage"]
        _, cited = checked(done.text, len(self.passages))
        own = [source_view(n, one, cited=n in cited) for n, one in enumerate(self.passages, start=1)]
        return SessionReply(
            response=done.text,
            session_id=self.session_id,
            sources=own + told.get("sources", []),
            search=told.get("search"),
            tool_calls=told["tool_calls"],
            usage=SessionUsage(**usage, total_tokens=usage["prompt_tokens"] + usage["completion_tokens"]),
            execution_time=round(time.monotonic() - self.began, 3),
            success=True,
            error_message=None,
            api_key_source=self._key_source(),
            finish_reason=told["finish_reason"],
            history_saved=done.history_saved,
            request_id=self.context.request_id,
            confirmations=confirmation_views(done.proposals),
            **style_fields(done),
        )


def _unsaid(done: Done) -> set[str]:
    """Fields that most replies do not have."""
    said = {*style_fields(done), *(["confirmations"] if done.proposals else [])}
    return {"style_violations", "segments", "confirmations"} - said
