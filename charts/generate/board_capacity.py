"""Dashboard: how full the engines are and how fast they go."""

from typing import Final

from panel import SCOPE, SERVICE, SERVICE_VARIABLES, Board, Panel, gauge, last_hour, rate

CAPACITY: Final = Board(
    "capacity",
    "ChatBot / Capacity",
    "How full the engines are and how fast they go: what more GPUs, slots or cells would change.",
    SERVICE_VARIABLES,
    (
        (
            "Load",
            (
                Panel(
                    "Slots in use",
                    "percentunit",
                    "Running requests by slots. At 100 % requests wait.",
                    ((f"{gauge('chatbot_requests_running')} / {gauge('chatbot_slots')}", SERVICE),),
                ),
                Panel(
                    "Places in the line",
                    "percentunit",
                    "Waiting requests by the line's hard bound, of the fullest pod.",
                    (
                        (
                            f"max by (service) (chatbot_queue_depth{{{SCOPE}}} / chatbot_queue_max_waiting{{{SCOPE}}})",
                            SERVICE,
                        ),
                    ),
                ),
                Panel(
                    "What the autoscaler sees",
                    "short",
                    "Waiting plus running requests; divided by the slots of a pod it is the pods that are wanted.",
                    ((f"{gauge('chatbot_queue_depth')} + {gauge('chatbot_requests_running')}", SERVICE),),
                ),
            ),
        ),
        (
            "Tokens",
            (
                Panel(
                    "Tokens",
                    "cps",
                    "Tokens a second: generated, and prompt tokens of ended generations.",
                    (
                        (rate("chatbot_generation_tokens_total"), "{{service}} generated"),
                        (rate("chatbot_prompt_tokens_total"), "{{service}} prompts"),
                    ),
                ),
                Panel(
                    "Prompt tokens that were there already",
                    "percentunit",
                    "Share of looked-up prompt tokens found in the prefix cache.",
                    (
                        (
                            f"{rate('chatbot_engine_prefix_cache_hit_tokens_total')} / "
                            + rate("chatbot_engine_prefix_cache_queried_tokens_total"),
                            SERVICE,
                        ),
                    ),
                ),
            ),
        ),
        (
            "KV pool",
            (
                Panel(
                    "Cells in use",
                    "percentunit",
                    "Share of the pool held by running generations (active) and by kept prefixes (idle).",
                    (
                        (
                            f"max by (service, state) (chatbot_engine_kv_cache_usage_ratio{{{SCOPE}}})",
                            "{{service}} {{state}}",
                        ),
                    ),
                ),
                Panel(
                    "Cells",
                    "short",
                    "Cells of the pool, tokens, over all pods.",
                    ((gauge("chatbot_engine_kv_cells"), SERVICE),),
                ),
                Panel(
                    "Put back and dropped",
                    "ops",
                    "Generations put back because the pool was full, and sequences that left it.",
                    (
                        (rate("chatbot_engine_preemptions_total"), "{{service}} put back"),
                        (rate("chatbot_engine_evictions_total", "", "service, to"), "{{service}} to {{to}}"),
                    ),
                ),
            ),
        ),
        (
            "Main memory",
            (
                Panel(
                    "Main memory of conversations that left the pool",
                    "bytes",
                    "Bytes of sequences that were evicted and can be copied back, over all pods.",
                    ((gauge("chatbot_engine_host_cache_bytes"), SERVICE),),
                ),
                Panel(
                    "Conversations copied back",
                    "ops",
                    "Prompts that found their beginning in main memory (ok), and saved sequences lost at it.",
                    (
                        (
                            rate("chatbot_engine_host_cache_restores_total", "", "service, outcome"),
                            "{{service}} {{outcome}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Steps",
            (
                Panel(
                    "Rows of a step",
                    "short",
                    "Mean batch: rows by steps.",
                    (
                        (
                            f"{rate('chatbot_engine_step_rows_total')} / {rate('chatbot_engine_steps_total')}",
                            SERVICE,
                        ),
                    ),
                ),
                Panel(
                    "Time of a step",
                    "s",
                    "Mean time inside llama_decode, and outside it by part.",
                    (
                        (
                            f"{rate('chatbot_engine_step_seconds_total')} / {rate('chatbot_engine_steps_total')}",
                            "{{service}} decode",
                        ),
                        (
                            f"{rate('chatbot_engine_step_overhead_seconds_total', '', 'service, part')} / on (service) "
                            f"group_left () {rate('chatbot_engine_steps_total')}",
                            "{{service}} {{part}}",
                        ),
                    ),
                ),
                Panel(
                    "Engine faults",
                    "short",
                    "Restarts that nobody asked for and failed decode calls of the last hour.",
                    (
                        (
                            last_hour("chatbot_engine_restarts_total"),
                            "{{service}} restarts",
                        ),
                        (
                            last_hour("chatbot_engine_decode_errors_total"),
                            "{{service}} decode errors",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
