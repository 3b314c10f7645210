"""Dashboard: what callers of the services see."""

from typing import Final

from panel import CHAT, COUNTED, FAILED, SCOPE, SERVICE, SERVICE_VARIABLES, Board, Panel, gauge, quantiles, rate

SERVICES: Final = Board(
    "services",
    "ChatBot / Services",
    "What callers of the services see: answers, errors, waiting, speed.",
    SERVICE_VARIABLES,
    (
        (
            "Answers",
            (
                Panel(
                    "Requests",
                    "reqps",
                    "Requests for answers that ended, by outcome of the body (also after a 200).",
                    ((rate("chatbot_requests_total", CHAT, "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Failed",
                    "percentunit",
                    "Share of requests for answers that failed, without 4xx and clients that left. Objective: 0.5 %.",
                    ((f"({FAILED} or 0 * {COUNTED}) / {COUNTED}", SERVICE),),
                ),
                Panel(
                    "Statuses",
                    "reqps",
                    "Requests by HTTP status, probes included.",
                    ((rate("chatbot_requests_total", "", "service, status"), "{{service}} {{status}}"),),
                ),
                Panel(
                    "Keys",
                    "reqps",
                    "Requests to what wants a key, by what was decided; unavailable: the key store does not answer.",
                    ((rate("chatbot_auth_requests_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
            ),
        ),
        (
            "Limits of keys",
            (
                Panel(
                    "Limits of keys",
                    "reqps",
                    "Requests of keys with limits: granted, granted by one replica alone (degraded), refused.",
                    (
                        (
                            rate("chatbot_limit_decisions_total", "", "service, limit, outcome"),
                            "{{service}} {{limit}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Store of limits, away",
                    "short",
                    "Processes that count limits by themselves because the store does not answer.",
                    ((gauge("chatbot_limits_degraded"), SERVICE),),
                ),
                Panel(
                    "Policies of tenants",
                    "short",
                    "Policies that hold, on all pods; and pods that keep old ones, the file being broken or gone.",
                    (
                        (gauge("chatbot_tenant_policies"), f"{SERVICE} policies"),
                        (gauge("chatbot_tenant_policies_stale"), f"{SERVICE} stale"),
                    ),
                ),
                Panel(
                    "Store of limits, time",
                    "s",
                    "Time of a call that reserves or settles.",
                    quantiles("chatbot_limit_store_seconds"),
                ),
            ),
        ),
        (
            "The line",
            (
                Panel(
                    "Waiting and running",
                    "short",
                    "Requests in the line, requests that hold a slot or gave theirs away while their tools run, and the"
                    " slots there are, over all pods.",
                    (
                        (gauge("chatbot_queue_depth"), "{{service}} waiting"),
                        (gauge("chatbot_requests_running"), "{{service}} running"),
                        (gauge("chatbot_requests_aside"), "{{service}} aside"),
                        (gauge("chatbot_slots"), "{{service}} slots"),
                    ),
                ),
                Panel(
                    "Time in the line",
                    "s",
                    "Time that requests spent waiting before they ran. Objective: 95 % within 30 s.",
                    quantiles("chatbot_queue_wait_seconds", 'outcome="dispatched"'),
                ),
                Panel(
                    "Predicted wait",
                    "s",
                    "Wait that a request arriving now would see, of the worst pod; above the longest wait it gets 429.",
                    ((f"max by (service) (chatbot_queue_predicted_wait_seconds{{{SCOPE}}})", SERVICE),),
                ),
                Panel(
                    "How the line was left",
                    "reqps",
                    "Requests that left the line or were refused a place, by how.",
                    ((rate("chatbot_queue_requests_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
            ),
        ),
        (
            "Speed",
            (
                Panel(
                    "First token",
                    "s",
                    "Time from arrival to the first token, the line included.",
                    quantiles("chatbot_time_to_first_token_seconds"),
                ),
                Panel(
                    "Between pieces",
                    "s",
                    "Time between two pieces of one answer.",
                    quantiles("chatbot_inter_token_latency_seconds"),
                ),
                Panel(
                    "Whole answer",
                    "s",
                    "Time from a request's first byte to its answer's last.",
                    quantiles("chatbot_request_duration_seconds", CHAT),
                ),
            ),
        ),
        (
            "Tools",
            (
                Panel(
                    "Calls of tools",
                    "ops",
                    "Calls of the services' own tools by outcome; failed, timeout, unavailable: the tool's fault.",
                    (
                        (
                            rate("chatbot_tool_calls_total", "", "service, outcome"),
                            "{{service}} {{outcome}}",
                        ),
                    ),
                ),
                Panel("Time of a call", "s", "Time of calls that were run.", quantiles("chatbot_tool_seconds")),
                Panel(
                    "Rounds",
                    "short",
                    "Generations of an answer with tools; 1 called nothing, the bound is 4.",
                    quantiles("chatbot_agent_rounds"),
                ),
                Panel(
                    "Tools turned off",
                    "ops",
                    "Answers in which nothing more could be called, by the bound that was reached.",
                    ((rate("chatbot_agent_stopped_total", "", "service, reason"), "{{service}} {{reason}}"),),
                ),
            ),
        ),
        (
            "Tool servers",
            (
                Panel(
                    "Tool servers that answer",
                    "short",
                    "Pods that a tool server answers.",
                    ((f"sum by (service, server) (chatbot_mcp_server_up{{{SCOPE}}})", "{{service}} {{server}}"),),
                ),
                Panel(
                    "Tools that changed",
                    "short",
                    "Tools that are withdrawn because their definition is not the approved one.",
                    ((f"max by (service, server) (chatbot_mcp_tools_changed{{{SCOPE}}})", "{{service}} {{server}}"),),
                ),
                Panel(
                    "Calls to be confirmed",
                    "ops",
                    "Calls that write: asked, and what became of them once their user confirmed them or did not.",
                    ((rate("chatbot_confirmations_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
            ),
        ),
        (
            "Web search",
            (
                Panel(
                    "Searches of the web",
                    "ops",
                    "Searches by provider and outcome; refused: its key or format, limited: its own bound.",
                    (
                        (
                            rate("chatbot_search_requests_total", "", "service, provider, outcome"),
                            "{{service}} {{provider}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Pages read",
                    "ops",
                    "Pages of search results by outcome; refused: an address, type or size that is not allowed.",
                    ((rate("chatbot_web_pages_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Kept of the web",
                    "ops",
                    "Searches, pages, forecasts and feeds that were wanted; hit: kept, miss: asked for.",
                    (
                        (
                            rate("chatbot_cache_requests_total", "", "service, cache, outcome"),
                            "{{service}} {{cache}} {{outcome}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Documents by their meaning",
            (
                Panel(
                    "Questions to documents",
                    "ops",
                    "Questions that were looked up: by words alone (lexical, and why), or by meaning too (hybrid).",
                    (
                        (
                            rate("chatbot_retrieval_seconds_count", "", "service, mode, reason"),
                            "{{service}} {{mode}} {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Time of the embedding model",
                    "s",
                    "Time of a call of the embedding model, with waiting; all purposes.",
                    quantiles("chatbot_embedding_seconds"),
                ),
                Panel(
                    "Tokens embedded",
                    "short",
                    "Tokens a second that the embedding model read, by what the vectors are for.",
                    ((rate("chatbot_embedding_tokens_total", "", "service, purpose"), "{{service}} {{purpose}}"),),
                ),
            ),
        ),
        (
            "What is known of people",
            (
                Panel(
                    "Erasures of users",
                    "ops",
                    "Erasures that were done, and tries in vain: those are tried again.",
                    ((rate("chatbot_erasures_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Oldest rows",
                    "s",
                    "Time since the oldest row of a store was changed; what is too old goes every 10 minutes.",
                    (
                        (
                            f"max by (service, store) (chatbot_oldest_row_age_seconds{{{SCOPE}}})",
                            "{{service}} {{store}}",
                        ),
                    ),
                ),
                Panel(
                    "Oldest erasure",
                    "s",
                    "How long the oldest erasure that is not over has been waiting; 0: none.",
                    ((gauge("chatbot_erasure_oldest_seconds"), SERVICE),),
                ),
                Panel(
                    "Calls of the audit",
                    "ops",
                    "Records written, and looks at the whole chain, by how they ended.",
                    (
                        (
                            rate("chatbot_audit_operations_total", "", "service, operation, outcome"),
                            "{{service}} {{operation}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Problems of the audit",
                    "short",
                    "Records and marks that were not as they were written, at the last look.",
                    ((f"max by (service) (chatbot_audit_problems{{{SCOPE}}})", SERVICE),),
                ),
                Panel(
                    "Cut out of logs",
                    "cps",
                    "What looked like a person's or a key in a log line. But for odd request ids of callers, a defect.",
                    ((rate("chatbot_log_scrubbed_total", "", "service, kind"), "{{service}} {{kind}}"),),
                ),
            ),
        ),
        (
            "History and input",
            (
                Panel(
                    "Store calls",
                    "ops",
                    "Calls of the conversation store by outcome.",
                    (
                        (
                            rate("chatbot_store_operation_seconds_count", "", "service, outcome"),
                            "{{service}} {{outcome}}",
                        ),
                    ),
                ),
                Panel("Store time", "s", "Time of a store call.", quantiles("chatbot_store_operation_seconds")),
                Panel(
                    "Ends of generations",
                    "ops",
                    "Generations that ended, by reason.",
                    (
                        (
                            rate("chatbot_generations_total", "", "service, finish_reason"),
                            "{{service}} {{finish_reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Unknown fields",
                    "cps",
                    "Fields of requests that nobody knows and that were ignored: a client is out of date.",
                    ((rate("chatbot_unknown_fields_total"), SERVICE),),
                ),
            ),
        ),
    ),
)
