"""Panels, dashboards and the queries that they have in common."""

from dataclasses import dataclass
from typing import Final

SCOPE: Final = 'namespace=~"$namespace",service=~"$service"'
OF_MODELS: Final = 'model_namespace=~"$namespace",model=~"$model"'
BY_SERVICE: Final = "sum by (service)"
CHAT: Final = 'route=~"/Llama|/OpenAI|/chat|/v1/chat/completions"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        unit: Grafana's name of the unit (`s`, `reqps`, `percentunit`, `bytes`, `short`).
        queries: Expressions with their legends.
    """

    title: str
    unit: str
    text: str
    queries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: `variables` are name, label and query; `rows` a title and the panels beside each other."""

    name: str
    title: str
    text: str
    variables: tuple[tuple[str, str, str], ...]
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def rate(metric: str, selector: str = "", by: str = "service") -> str:
    """Rate of a counter in the services of the dashboard's variables."""
    return f"sum by ({by}) (rate({metric}{{{SCOPE}{',' if selector else ''}{selector}}}[$__rate_interval]))"


def quantile(share: float, metric: str, selector: str = "") -> str:
    """A quantile of a histogram, per service."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selector, 'le, service')})"


def quantiles(metric: str, selector: str = "") -> tuple[tuple[str, str], ...]:
    """The three usual quantiles with their legends."""
    return tuple(
        (quantile(share, metric, selector), f"{{{{service}}}} p{share * 100:g}") for share in (0.5, 0.95, 0.99)
    )


def condition(kind: str, by: str = "model") -> str:
    """1 where a condition of a Model is True; `kind` "" is every condition."""
    selector = f'type="{kind}",' if kind else ""
    return f'max by ({by}) (chatbot_model_condition{{{OF_MODELS},{selector}status="True"}})'


def last_hour(metric: str) -> str:
    """Increase of a counter in an hour, per service."""
    return f"{BY_SERVICE} (increase({metric}{{{SCOPE}}}[1h]))"


def gauge(metric: str) -> str:
    """Sum of a gauge over the pods of a service."""
    return f"{BY_SERVICE} ({metric}{{{SCOPE}}})"


FAILED: Final = rate("chatbot_requests_total", f'{CHAT},outcome="error"')
COUNTED: Final = rate("chatbot_requests_total", f'{CHAT},outcome=~"ok|error",status!~"4.."')
SERVICE: Final = "{{service}}"
SERVICE_VARIABLES: Final = (
    ("namespace", "Namespace", "label_values(chatbot_slots, namespace)"),
    ("service", "Service", 'label_values(chatbot_slots{namespace=~"$namespace"}, service)'),
)
