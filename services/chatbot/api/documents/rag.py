"""`POST /rag/query`: a question, answered by the local model from the user's own documents, with numbered sources."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from chatbot.api.accounts.decisions import check_backend
from chatbot.api.accounts.flags import privacy_of
from chatbot.api.conversations import caller_of_header
from chatbot.api.documents.routes import library_of
from chatbot.api.documents.schemas import RagAnswer, RagRequest, Retrieval, source_view
from chatbot.api.schemas import count_unknown, validated
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.texts import text
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.api.wire.guard import read_object
from chatbot.api.wire.streams import AnswerResponse
from chatbot.core.answering.pump import Answer
from chatbot.core.question import AnswerEvent, Done, Exchange
from chatbot.core.retrieval.answer_text import Links, cleaned
from chatbot.core.retrieval.citations import BUDGETS, dialogue
from chatbot.core.retrieval.search import Retrieved, Search
from chatbot.domain.chat import Caller
from chatbot.domain.errors import InvalidInput, PromptTooLong
from chatbot.domain.generation import Backend
from chatbot.domain.visible_text import visible

router = APIRouter(prefix="/rag", tags=["documents"])


@router.post("/query", operation_id="askDocuments", summary="Ask one's documents", response_model=RagAnswer)
async def query(request: Request) -> Response:
    """Find passages and let the local model answer from them. Where nothing is found, the model is not asked."""
    began = time.monotonic()
    parts, context = parts_of(request), context_of(request.scope)
    library, caller = library_of(request), caller_of_header(request)
    body = await read_object(request.headers, request.receive, parts.limits.body_bytes)
    asked = validated(RagRequest, body)
    if unknown := count_unknown(RagRequest, body):
        parts.telemetry.unknown_fields(profile_of(request).name, unknown)
    if asked.generate:
        check_backend(context.principal, Backend.LLAMA)
    stays = asked.local_only or privacy_of(request).local_only
    search = Search(asked.question, asked.k, asked.collections, asked.filters, local_only=stays)
    shape = RagFormat(asked.question, await library.retriever.search(caller, search), began)
    if not asked.generate:
        return shape.response(None)
    if not shape.retrieved.passages:
        return shape.response(text("answer.nothing_found", context.language))
    return AnswerResponse(
        lambda: _open(parts, context, caller, asked.question, shape.retrieved),
        shape,
        parts.statistics,
        parts.limits.send_timeout_seconds,
    )


async def _open(parts: Parts, context: RequestContext, caller: Caller, question: str, retrieved: Retrieved) -> Answer:
    """Begin the answer, with as much of the passages as the model's context takes."""
    too_long: InvalidInput | None = None
    for budget in BUDGETS:
        exchange = Exchange(
            request_id=context.work_id,
            caller=caller,
            dialogue=dialogue(question, retrieved.passages, budget),
            sampling=parts.sampling,
            backend=Backend.LLAMA,
            traceparent=context.traceparent,
        )
        try:
            return await parts.answerer.open_exchange(exchange)
        except PromptTooLong as exc:
            limits = exc.limits
            too_long = PromptTooLong("question", int(limits["prompt_tokens"]), int(limits["context_tokens"]))
        except InvalidInput as exc:
            too_long = InvalidInput("question", exc.problem, **exc.limits)
    raise too_long or PromptTooLong("question", 0, 0)


@dataclass(frozen=True, slots=True)
class RagFormat:
    """One JSON object; marks without a source and links that no passage has are removed before anybody sees them."""

    question: str
    retrieved: Retrieved
    began: float
    is_stream: bool = False

    def whole(self, done: Done) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the answer."""
        response = self.response(done.text)
        return bytes(response.body), {"Cache-Control": "no-store"}

    def response(self, answer: str | None) -> Response:
        """The answer, None where none was wanted, with the sources."""
        passages = self.retrieved.passages
        told, cited = None, frozenset[int]()
        if answer is not None:
            links = Links.of((self.question, *(visible(one.chunk.text) for one in passages)))
            told, cited = cleaned(answer, links, len(passages))
        view = RagAnswer(
            answer=told,
            sources=[source_view(n, one, cited=n in cited) for n, one in enumerate(passages, start=1)],
            execution_time=round(time.monotonic() - self.began, 3),
            retrieved_docs=len(passages),
            retrieval=Retrieval(
                mode=self.retrieved.mode,
                reason=self.retrieved.words_alone,
                lexical=self.retrieved.candidates,
                dense=self.retrieved.dense,
                seconds=round(self.retrieved.seconds, 4),
            ),
        )
        return Response(view.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})

    def stream_headers(self) -> Mapping[str, str]:
        """There is no stream."""
        return {}

    def event(self, event: AnswerEvent) -> bytes:
        """There is no stream."""
        return b""

    def error(self, error: Exception, context: RequestContext) -> bytes:
        """There is no stream."""
        return b""
