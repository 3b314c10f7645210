"""Every metric of the services: name, type, labels, buckets. This is the only list; docs/metrics.md is made from it.

Labels come from closed sets; text of users, their ids and model output never become a label.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus metric types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


QUEUE_OUTCOMES = tuple(
    "dispatched rejected_wait rejected_full rejected_unavailable expired client_gone shutdown".split()
)
QUOTA_USED = "chatbot_quota_used_ratio"
LOG_SCRUBBED = "chatbot_log_scrubbed_total"
SCRUBBED_KINDS = ("key", "token", "mail", "resident_number", "phone", "card")
AUTH_OUTCOMES = ("accepted", "anonymous", "unauthorized", "forbidden", "unavailable")
REQUEST_OUTCOMES = ("ok", "error", "client_gone")
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300)
FIRST_TOKEN_SECONDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
INTER_TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5)
STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Attributes:
        name: Full name, as scraped (counters with `_total`).
        help: One sentence with the unit; also the text of docs/metrics.md.
        labels: Besides `service`, which every metric has.
        buckets: Upper bounds of a histogram, in the unit of its name.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

METRICS: tuple[Metric, ...] = (
    Metric("chatbot_queue_depth", _GAUGE, "Requests waiting in the line."),
    Metric("chatbot_queue_max_waiting", _GAUGE, "Hard bound of the line, requests."),
    Metric("chatbot_queue_predicted_wait_seconds", _GAUGE, "Wait that a request arriving now would see, seconds."),
    Metric("chatbot_requests_running", _GAUGE, "Requests that hold a slot of the engine."),
    Metric("chatbot_requests_aside", _GAUGE, "Requests that gave their slot away while their tools run."),
    Metric("chatbot_slots", _GAUGE, "Generations that can run at once."),
    Metric(
        "chatbot_queue_requests_total", _COUNTER, "Requests that left the line or were refused a place.", ("outcome",)
    ),
    Metric("chatbot_queue_wait_seconds", _HISTOGRAM, "Time in the line, seconds.", ("outcome",), SECONDS),
    Metric(
        "chatbot_requests_total",
        _COUNTER,
        "HTTP requests; outcome is that of the body, also after a 200.",
        ("route", "status", "outcome"),
    ),
    Metric(
        "chatbot_request_duration_seconds",
        _HISTOGRAM,
        "Time from a request's first byte to its answer's last, seconds.",
        ("route",),
        SECONDS,
    ),
    Metric(
        "chatbot_auth_requests_total",
        _COUNTER,
        "Requests to what wants a key, by what was decided; anonymous: no keys are configured.",
        ("outcome",),
    ),
    Metric(
        "chatbot_limit_decisions_total",
        _COUNTER,
        "Requests under limits: granted, by this replica alone (degraded), refused; shadow_refused: on trial.",
        ("limit", "outcome"),
    ),
    Metric(
        "chatbot_limit_store_seconds",
        _HISTOGRAM,
        "Time of a call of the store of limits, seconds.",
        ("outcome",),
        STEP_SECONDS,
    ),
    Metric("chatbot_limits_degraded", _GAUGE, "1 while the store of limits is away and each replica counts alone."),
    Metric("chatbot_tenant_policies", _GAUGE, "Policies of tenants that hold."),
    Metric(
        "chatbot_tenant_policies_stale",
        _GAUGE,
        "1 while the file of policies is broken or gone and older policies hold; :9090/policy says why.",
    ),
    Metric("chatbot_erasures_total", _COUNTER, "Erasures of users that were done, and tries in vain.", ("outcome",)),
    Metric("chatbot_erasure_oldest_seconds", _GAUGE, "Age of the oldest erasure that is not over, seconds; 0: none."),
    Metric(
        "chatbot_oldest_row_age_seconds",
        _GAUGE,
        "Time since the oldest row of a store was changed, seconds; told by the pod that removes what is old, else 0.",
        ("store",),
    ),
    Metric(
        "chatbot_audit_operations_total",
        _COUNTER,
        "Records of the audit that were to be written, and looks at the whole chain of them.",
        ("operation", "outcome"),
    ),
    Metric(
        "chatbot_audit_problems",
        _GAUGE,
        "What the last look found changed or missing in the audit, at most 20; told by the pod that looks, else 0.",
    ),
    Metric("chatbot_usage_requests_total", _COUNTER, "Requests by how they ended, as they are recorded.", ("outcome",)),
    Metric(
        "chatbot_usage_tokens_total",
        _COUNTER,
        "Tokens of all generations by who made them; those that were cached are part of the prompt's.",
        ("backend", "kind"),
    ),
    Metric("chatbot_cost_usd_total", _COUNTER, "Cost by the price table, US dollars.", ("model",)),
    Metric(
        QUOTA_USED, _GAUGE, "Share of a tenant's day or month that is used; 50 tenants by name.", ("tenant", "limit")
    ),
    Metric("chatbot_usage_unrecorded_total", _COUNTER, "Requests whose record was lost.", ("reason",)),
    Metric(
        "chatbot_price_age_seconds",
        _GAUGE,
        "Time since the newest row of the price table holds, seconds; 0 where there is no table.",
    ),
    Metric(LOG_SCRUBBED, _COUNTER, "What was cut out of logs, as it looks like a person's or a key.", ("kind",)),
    Metric("chatbot_unknown_fields_total", _COUNTER, "Fields of requests that were ignored because nobody knows them."),
    Metric("chatbot_generations_total", _COUNTER, "Generations that ended.", ("finish_reason",)),
    Metric(
        "chatbot_time_to_first_token_seconds",
        _HISTOGRAM,
        "Time from arrival to the first token, the line included, seconds.",
        (),
        FIRST_TOKEN_SECONDS,
    ),
    Metric(
        "chatbot_inter_token_latency_seconds",
        _HISTOGRAM,
        "Time between two pieces of one answer, seconds.",
        (),
        INTER_TOKEN_SECONDS,
    ),
    Metric("chatbot_prompt_tokens_total", _COUNTER, "Prompt tokens of ended generations, cached ones included."),
    Metric("chatbot_generation_tokens_total", _COUNTER, "Tokens generated."),
    Metric(
        "chatbot_tool_calls_total",
        _COUNTER,
        "Calls of the service's own tools that the model made; a name that it made up is `unknown`.",
        ("tool", "outcome"),
    ),
    Metric("chatbot_tool_seconds", _HISTOGRAM, "Time of a call that was run, seconds.", ("tool",), STEP_SECONDS),
    Metric(
        "chatbot_search_requests_total",
        _COUNTER,
        "Searches of the web by provider; resting: it was not asked, because it failed shortly before.",
        ("provider", "outcome"),
    ),
    Metric(
        "chatbot_web_pages_total",
        _COUNTER,
        "Pages of the web that were read; refused: an address, type or size that is not allowed.",
        ("outcome",),
    ),
    Metric(
        "chatbot_cache_requests_total",
        _COUNTER,
        "Searches, pages, forecasts, feeds and answers that were wanted; failure_hit: it failed shortly before; joined:"
        " it was being asked for, or made, already; miss: it was asked for.",
        ("cache", "outcome"),
    ),
    Metric(
        "chatbot_confirmations_total",
        _COUNTER,
        "Calls of tools that do more than read: asked for, then run once confirmed (done, failed, unsure), or refused.",
        ("outcome",),
    ),
    Metric(
        "chatbot_agent_rounds",
        _HISTOGRAM,
        "Generations of an answer with tools; 1 called nothing.",
        (),
        (1, 2, 3, 4, 5, 6, 7, 8),
    ),
    Metric(
        "chatbot_agent_stopped_total",
        _COUNTER,
        "Answers in which the model could call no more tools: a bound was reached, a call repeated, or no room left.",
        ("reason",),
    ),
    Metric(
        "chatbot_embedding_seconds",
        _HISTOGRAM,
        "Time of a call of the embedding model, seconds, by what the vectors are for; refused: the texts are too long.",
        ("purpose", "outcome"),
        SECONDS,
    ),
    Metric("chatbot_embedding_tokens_total", _COUNTER, "Tokens that the embedding model read.", ("purpose",)),
    Metric(
        "chatbot_retrieval_seconds",
        _HISTOGRAM,
        "Time to look up a question in documents where an embedding model is set, seconds; reason: why by words alone.",
        ("mode", "reason"),
        STEP_SECONDS,
    ),
    Metric(
        "chatbot_persona_checks_total",
        _COUNTER,
        "Rules of characters that were looked at in answers: ok as the model made it, repaired, or violated.",
        ("check", "outcome"),
    ),
    Metric(
        "chatbot_persona_repairs_total",
        _COUNTER,
        "Answers that were edited, made once more (retry), or accepted although they break a rule (accept).",
        ("step",),
    ),
    Metric("chatbot_persona_extra_tokens_total", _COUNTER, "Tokens of generations that were made again, the first's."),
    Metric(
        "chatbot_persona_held_seconds",
        _HISTOGRAM,
        "Time by which a stream's first text came later for the rules of its character, seconds.",
        (),
        STEP_SECONDS,
    ),
    Metric(
        "chatbot_memory_summaries_total",
        _COUNTER,
        "Tries to summarise the oldest turns of a long conversation; gave_way: a person asked; stale: the conversation"
        " was erased meanwhile, or another process was faster; dropped: too many waited.",
        ("outcome",),
    ),
    Metric(
        "chatbot_memory_summary_tokens_total",
        _COUNTER,
        "Tokens of generations of summaries, which are in no record of use and on nobody's bill.",
        ("kind",),
    ),
    Metric("chatbot_mcp_server_up", _GAUGE, "1 while a tool server answers.", ("server",)),
    Metric(
        "chatbot_mcp_tools_changed",
        _GAUGE,
        "Tools of a tool server that are withdrawn, because their definition is not the approved one any more.",
        ("server",),
    ),
    Metric("chatbot_engine_restarts_total", _COUNTER, "Restarts of the engine process that nobody asked for."),
    Metric(
        "chatbot_store_operation_seconds",
        _HISTOGRAM,
        "Time of a conversation store call, seconds.",
        ("operation", "outcome"),
        SECONDS,
    ),
    Metric("chatbot_model_info", _GAUGE, "1 for the model that is served.", ("model", "revision")),
    Metric("chatbot_engine_kv_cache_usage_ratio", _GAUGE, "Share of the KV pool's cells in use, 0-1.", ("state",)),
    Metric("chatbot_engine_kv_cells", _GAUGE, "Cells of the KV pool, tokens."),
    Metric(
        "chatbot_engine_prefix_cache_queried_tokens_total", _COUNTER, "Prompt tokens looked up in the prefix cache."
    ),
    Metric(
        "chatbot_engine_prefix_cache_hit_tokens_total",
        _COUNTER,
        "Prompt tokens that were resident already.",
        ("source",),
    ),
    Metric("chatbot_engine_steps_total", _COUNTER, "Steps (calls of llama_decode)."),
    Metric("chatbot_engine_step_rows_total", _COUNTER, "Rows of all steps; divided by the steps it is the mean batch."),
    Metric("chatbot_engine_step_seconds_total", _COUNTER, "Time inside llama_decode, seconds."),
    Metric(
        "chatbot_engine_step_overhead_seconds_total",
        _COUNTER,
        "Time of a step outside llama_decode, seconds.",
        ("part",),
    ),
    Metric("chatbot_engine_preemptions_total", _COUNTER, "Running generations put back because the KV pool was full."),
    Metric("chatbot_engine_evictions_total", _COUNTER, "Resident sequences dropped from the KV pool.", ("to",)),
    Metric(
        "chatbot_engine_host_cache_bytes", _GAUGE, "Main memory that holds sequences evicted from the KV pool, bytes."
    ),
    Metric(
        "chatbot_engine_host_cache_restores_total",
        _COUNTER,
        "Prompts for which evicted sequences were brought back (ok), and sequences that were lost at it (lost).",
        ("outcome",),
    ),
    Metric("chatbot_engine_decode_errors_total", _COUNTER, "Calls of llama_decode that failed.", ("rc",)),
)
