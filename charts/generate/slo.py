"""Recording rules and burn-rate alerts of the service level objectives, from one table.

Windows and factors: https://sre.google/workbook/alerting-on-slos/, multiwindow, multi-burn-rate alerts.
"""

from dataclasses import dataclass
from typing import Any, Final

import yaml

SCOPE: Final = 'namespace="NAMESPACE"'
"""The template puts the release's namespace in, so that two releases do not alert twice."""
CHAT: Final = 'route=~"/Llama|/OpenAI|/chat|/v1/chat/completions"'
FLOOR: Final = 10
"""Fewer requests in the long window say nothing."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        name: In the names of recording rules.
        alert: Name of its alerts.
        target: Share that must be good.
        bad: Expression of the rate of bad events; WINDOW is replaced.
        whole: Expression of the rate of all counted events.
        says: What a person reads, before the figures.
    """

    name: str
    alert: str
    target: float
    bad: str
    whole: str
    says: str


def _rate(metric: str, selector: str) -> str:
    return f"sum by (namespace, service) (rate({metric}{{{SCOPE},{selector}}}[WINDOW]))"


OBJECTIVES: Final = (
    Objective(
        "request_errors",
        "ChatbotErrorsBurnBudget",
        0.995,
        _rate("chatbot_requests_total", f'{CHAT},outcome="error"'),
        _rate("chatbot_requests_total", f'{CHAT},outcome=~"ok|error",status!~"4.."'),
        "Requests to {{ $labels.service }} fail",
    ),
    Objective(
        "refusals",
        "ChatbotRefusalsBurnBudget",
        0.99,
        _rate("chatbot_queue_requests_total", 'outcome=~"rejected_.*"'),
        _rate("chatbot_queue_requests_total", 'outcome!=""'),
        "Requests to {{ $labels.service }} are refused a place in the line",
    ),
    Objective(
        "long_waits",
        "ChatbotWaitsBurnBudget",
        0.95,
        _rate("chatbot_queue_wait_seconds_count", 'outcome=~"dispatched|expired"')
        + " - "
        + _rate("chatbot_queue_wait_seconds_bucket", 'outcome=~"dispatched|expired",le=~"30([.]0)?"'),
        _rate("chatbot_queue_wait_seconds_count", 'outcome=~"dispatched|expired"'),
        "Requests to {{ $labels.service }} wait longer than 30 s",
    ),
)
BURNS: Final = ((14.4, "1h", "5m", "page", "2m"), (6.0, "6h", "30m", "page", "15m"), (1.0, "3d", "6h", "ticket", "1h"))
"""Factor, long window, short window, severity, `for`."""


def rules() -> str:
    """files/rules/objectives.yaml."""
    longs = [long for _, long, _, _, _ in BURNS]
    windows = list(dict.fromkeys(window for _, long, short, _, _ in BURNS for window in (short, long)))
    recorded = [_ratio(objective, window) for objective in OBJECTIVES for window in windows]
    recorded += [_events(objective, window) for objective in OBJECTIVES for window in longs]
    alerts = [_alert(objective, burn) for objective in OBJECTIVES for burn in BURNS]
    head = "# Made by `make generate` from charts/generate/slo.py; edit that file.\n"
    group = {"name": "chatbot-objectives", "rules": recorded + alerts}
    return head + yaml.safe_dump(group, sort_keys=False, width=1000, allow_unicode=True)


def _ratio(objective: Objective, window: str) -> dict[str, Any]:
    whole, bad = objective.whole.replace("WINDOW", window), objective.bad.replace("WINDOW", window)
    # no bad event at all is no series, but a ratio of 0
    expression = f"(({bad}) or 0 * {whole}) / {whole}"
    return {"record": f"service:chatbot_{objective.name}:ratio_rate{window}", "expr": expression}


def _events(objective: Objective, window: str) -> dict[str, Any]:
    expression = objective.whole.replace("WINDOW", window)
    return {"record": f"service:chatbot_{objective.name}_events:rate{window}", "expr": expression}


def _alert(objective: Objective, burn: tuple[float, str, str, str, str]) -> dict[str, Any]:
    factor, long, short, severity, lasting = burn
    limit = round(factor * (1 - objective.target), 6)
    ratio, events = f"service:chatbot_{objective.name}:ratio_rate", f"service:chatbot_{objective.name}_events:rate"
    expression = (
        f"{ratio}{long} > {limit} and {ratio}{short} > {limit} and {events}{long} * {_seconds(long)} >= {FLOOR}"
    )
    return {
        "alert": objective.alert,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, "window": long},
        "annotations": {
            "summary": f"{objective.says} {factor:g} times faster than its objective allows",
            "description": f"{{{{ $value | humanizePercentage }}}} over {long} in {{{{ $labels.namespace }}}}; the "
            f"objective allows {1 - objective.target:.1%}. At {factor:g} times that, the budget of 30 days is gone in "
            f"{30 / factor:.1f} days.",
        },
    }


def _seconds(window: str) -> int:
    return int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]
