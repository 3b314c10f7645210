"""Dashboard: what is used, and what it costs."""

from typing import Final

from panel import SCOPE, SERVICE, SERVICE_VARIABLES, Board, Panel, last_hour, rate

_REFUSED: Final = 'outcome=~"queue_full|rate_limited|insufficient_quota"'
_TOKENS: Final = "chatbot_usage_tokens_total"
_COST: Final = "chatbot_cost_usd_total"


def _by(metric: str, by: str, selector: str = "", window: str = "1h") -> str:
    """Increase of a counter, by some of its labels."""
    return f"sum by ({by}) (increase({metric}{{{SCOPE}{',' if selector else ''}{selector}}}[{window}]))"


_CACHED: Final = rate(_TOKENS, 'kind="cached"')
_PROMPT: Final = rate(_TOKENS, 'kind="prompt"')
_QUOTAS: Final = f"max by (service, tenant, limit) (chatbot_quota_used_ratio{{{SCOPE}}})"
_NO_QUOTA: Final = f"0 * max by (service) (chatbot_limits_degraded{{{SCOPE}}})"

USE: Final = Board(
    "use",
    "ChatBot / Use and cost",
    "What is used and what it costs, by the price table. By key, user or tenant: GET /usage.",
    SERVICE_VARIABLES,
    (
        (
            "Cost",
            (
                Panel(
                    "Cost of an hour",
                    "currencyUSD",
                    "Dollars of the last hour by the price table, by model.",
                    ((_by(_COST, "service, model"), "{{service}} {{model}}"),),
                ),
                Panel(
                    "Cost of a day",
                    "currencyUSD",
                    "Dollars of the last 24 hours, and what a day costs at the pace of the last hour.",
                    (
                        (_by(_COST, "service", window="24h"), "{{service}} last 24 h"),
                        (f"24 * {last_hour(_COST)}", "{{service}} at this pace"),
                    ),
                ),
                Panel(
                    "Age of the price table",
                    "s",
                    "Time since the newest price holds; 0 where there is no table.",
                    ((f"max by (service) (chatbot_price_age_seconds{{{SCOPE}}})", SERVICE),),
                ),
            ),
        ),
        (
            "Tokens",
            (
                Panel(
                    "Tokens by backend",
                    "short",
                    "Tokens a second; those that were cached are part of the prompt's.",
                    ((rate(_TOKENS, "", "service, backend, kind"), "{{service}} {{backend}} {{kind}}"),),
                ),
                Panel(
                    "Tokens of summaries",
                    "short",
                    "Tokens a second for summaries of long conversations, which are on nobody's bill.",
                    ((rate("chatbot_memory_summary_tokens_total", "", "service, kind"), "{{service}} {{kind}}"),),
                ),
                Panel(
                    "Summaries of long conversations",
                    "ops",
                    "Tries by how they ended; gave_way: a person asked.",
                    ((rate("chatbot_memory_summaries_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Share of prompts that was cached",
                    "percentunit",
                    "Prompt tokens that cost nothing here, and less elsewhere, because they were there already.",
                    ((f"{_CACHED} / ({_PROMPT} > 0)", SERVICE),),
                ),
            ),
        ),
        (
            "Requests",
            (
                Panel(
                    "Recorded requests",
                    "reqps",
                    "Requests that wanted an answer, by how they ended.",
                    ((rate("chatbot_usage_requests_total", "", "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Refused",
                    "reqps",
                    "Refused by our line (queue_full), or by a limit of the caller's.",
                    ((rate("chatbot_usage_requests_total", _REFUSED, "service, outcome"), "{{service}} {{outcome}}"),),
                ),
                Panel(
                    "Quotas of tenants",
                    "percentunit",
                    "Share of a tenant's day or month that is used; at 100 % it is refused. 0: none has a quota.",
                    ((f"{_QUOTAS} or {_NO_QUOTA}", "{{service}} {{tenant}} {{limit}}"),),
                ),
                Panel(
                    "Records lost",
                    "short",
                    "Requests of the last hour whose record was lost; full: the store was away for long.",
                    ((_by("chatbot_usage_unrecorded_total", "service, reason"), "{{service}} {{reason}}"),),
                ),
            ),
        ),
    ),
)
