"""The values that labels may have: closed sets, so that no request makes a new series."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Final, get_args

from chatbot.adapters.web.search.formats import PROVIDERS
from chatbot.core.agent.calls import STOP_REASONS
from chatbot.core.agent.opening import TOOL_NAMES
from chatbot.core.agent.toolbox import UNKNOWN_TOOL, Outcome
from chatbot.core.audit.audit import AUDIT_OUTCOMES, AuditOperation
from chatbot.core.embedding.counted import EMBEDDING_OUTCOMES
from chatbot.core.keeping import CACHE_OUTCOMES, CACHES
from chatbot.core.personal.eraser import ERASURE_OUTCOMES
from chatbot.core.retrieval.search import Mode, WordsAlone
from chatbot.core.style.checks import CHECKS
from chatbot.core.tools.outside.news import News
from chatbot.core.tools.outside.weather import Weather
from chatbot.core.toolservers.tool import METRIC_LABEL
from chatbot.core.web.read_result import ReadResult
from chatbot.core.web.search_tool import WebSearchTool
from chatbot.domain.embedding.source import Purpose
from chatbot.domain.generation import Backend, FinishReason
from chatbot.domain.limits import LIMIT_NAMES
from chatbot.domain.memory.summary import SUMMARY_OUTCOMES
from chatbot.domain.outside.web import PAGE_OUTCOMES, SEARCH_OUTCOMES
from chatbot.domain.personal.stores import STORE_NAMES
from chatbot.domain.style.rules import REPAIR_STEPS, CheckOutcome
from chatbot.domain.toolservers.proposal import PROPOSAL_OUTCOMES
from chatbot.domain.usage.rows import UseOutcome
from chatbot.server.metrics import AUTH_OUTCOMES, QUEUE_OUTCOMES, Metric

ROUTES: Final = (
    "/Llama",
    "/OpenAI",
    "/chat",
    "/chat/{session_id}/history",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/{model:path}",
    "/key",
    "/tools",
    "/usage",
    "/performance",
    "/conversations",
    "/conversations/{db_id}",
    "/conversations/{db_id}/note",
    "/conversations/{db_id}/pins",
    "/conversations/{db_id}/continue",
    "/users/{user_id}",
    "/users/{user_id}/erasure",
    "/users/{user_id}/export",
    "/users/{user_id}/export/file",
    "/documents",
    "/documents/{document_id}",
    "/documents/{document_id}/events",
    "/documents/{document_id}/cancel",
    "/rag/query",
    "/characters",
    "/characters/import",
    "/characters/{name}",
    "/characters/{name}/export",
    "/characters/{name}/preview",
    "/v1/files",
    "/v1/files/{file_id}",
    "/v1/files/{file_id}/content",
    "/v1/vector_stores",
    "/v1/vector_stores/{store_id}",
    "/v1/vector_stores/{store_id}/search",
    "/v1/vector_stores/{store_id}/files",
    "/v1/vector_stores/{store_id}/files/{file_id}",
    "/info",
    "/healthz",
    "/readyz",
    "other",
)
CHAT_ROUTES: Final = ("/Llama", "/OpenAI", "/chat", "/v1/chat/completions", "/rag/query")
WAITED_OUTCOMES: Final = ("dispatched", "expired", "client_gone")
STATUSES: Final = ("200", "202", "204", "400", "401", "403", "404", "405", "408", "409", "413", "422", "429")
SERVER_STATUSES: Final = ("500", "503", "504")
CLIENT_GONE_STATUS: Final = "499"
GENERATION_ENDS: Final = (*map(str, FinishReason), "cancelled", "timeout", "error")
STORE_OPERATIONS: Final = ("load", "append", "listing", "remember", "summarise", "swap", "erase")
STORE_OUTCOMES: Final = ("ok", "conflict", "unavailable")
TOKEN_KINDS: Final = ("prompt", "cached", "completion")
SUMMARY_TOKEN_KINDS: Final = ("prompt", "completion")
LOST_REASONS: Final = ("full", "store", "shutdown")
_OUR_OUTCOMES: Final = tuple(str(outcome) for outcome in Outcome if outcome is not Outcome.UNKNOWN)
_NOBODYS_OUTCOMES: Final = (Outcome.UNKNOWN, Outcome.LIMIT, Outcome.REPEATED)
_TOOLS: Final = (*TOOL_NAMES, WebSearchTool.name, ReadResult.name, Weather.name, News.name)
ALL_STATUSES: Final = (*STATUSES, *SERVER_STATUSES, CLIENT_GONE_STATUS)
_PURPOSES: Final = tuple(purpose.name.lower() for purpose in Purpose)
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "chatbot_auth_requests_total": AUTH_OUTCOMES,
    "chatbot_queue_requests_total": QUEUE_OUTCOMES,
    "chatbot_queue_wait_seconds": WAITED_OUTCOMES,
    "chatbot_request_duration_seconds": ROUTES,
    "chatbot_generations_total": GENERATION_ENDS,
    "chatbot_tool_seconds": (*_TOOLS, METRIC_LABEL),
    "chatbot_mcp_server_up": (),  # of the servers that are named
    "chatbot_mcp_tools_changed": (),
    "chatbot_web_pages_total": PAGE_OUTCOMES,
    "chatbot_agent_stopped_total": STOP_REASONS,
    "chatbot_confirmations_total": PROPOSAL_OUTCOMES,
    "chatbot_persona_repairs_total": REPAIR_STEPS,
    "chatbot_erasures_total": ERASURE_OUTCOMES,
    "chatbot_memory_summaries_total": SUMMARY_OUTCOMES,
    "chatbot_memory_summary_tokens_total": SUMMARY_TOKEN_KINDS,
    "chatbot_oldest_row_age_seconds": STORE_NAMES,
    "chatbot_limit_store_seconds": ("ok", "unavailable"),
    "chatbot_embedding_tokens_total": _PURPOSES,
    "chatbot_usage_requests_total": tuple(map(str, UseOutcome)),
    "chatbot_usage_unrecorded_total": LOST_REASONS,
    "chatbot_cost_usd_total": (),  # the models of the price table, which nobody knows before it was read
}


def label_values(metric: Metric) -> Iterable[tuple[str, ...]]:
    """What the labels of a metric may be together, in their order and without `service`."""
    together = _TOGETHER.get(metric.name)
    if together is not None:
        return together()
    return product(*(_LABELS[metric.name] for _ in metric.labels))


def _request_labels() -> Iterator[tuple[str, str, str]]:
    """Every route, status and outcome that go together: an alert on a rate must see the first failure too."""
    for route in ROUTES:
        yield from ((route, status, "ok") for status in (*STATUSES, "other"))
        yield from ((route, status, "error") for status in (*SERVER_STATUSES, "other"))
        yield route, CLIENT_GONE_STATUS, "client_gone"
    for route in CHAT_ROUTES:  # the body may end otherwise than its status line promised
        yield from ((route, "200", outcome) for outcome in ("error", "client_gone"))


_TOGETHER: Final[Mapping[str, Callable[[], Iterable[tuple[str, ...]]]]] = {
    "chatbot_requests_total": _request_labels,
    "chatbot_store_operation_seconds": lambda: product(STORE_OPERATIONS, STORE_OUTCOMES),
    "chatbot_search_requests_total": lambda: product(PROVIDERS, SEARCH_OUTCOMES),
    "chatbot_cache_requests_total": lambda: product(CACHES, CACHE_OUTCOMES),
    "chatbot_limit_decisions_total": lambda: [
        ("all", "granted"),
        ("all", "degraded"),
        *product(LIMIT_NAMES, ("refused", "shadow_refused")),
    ],
    "chatbot_audit_operations_total": lambda: product(map(str, AuditOperation), AUDIT_OUTCOMES),
    "chatbot_usage_tokens_total": lambda: product(map(str, Backend), TOKEN_KINDS),
    "chatbot_persona_checks_total": lambda: product(CHECKS, get_args(CheckOutcome)),
    "chatbot_tool_calls_total": lambda: [
        *product((*_TOOLS, METRIC_LABEL), _OUR_OUTCOMES),
        *product((UNKNOWN_TOOL,), map(str, _NOBODYS_OUTCOMES)),
    ],
    "chatbot_embedding_seconds": lambda: product(_PURPOSES, EMBEDDING_OUTCOMES),
    "chatbot_retrieval_seconds": lambda: [
        (str(Mode.HYBRID), ""),
        (str(Mode.LEXICAL), ""),
        *product((str(Mode.LEXICAL),), map(str, WordsAlone)),
    ],
}
"""Labels of which not all values go together."""
