"""Settings -> the collector that is told of requests, where one is named."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatbot.server.settings.whole import Settings

if TYPE_CHECKING:
    from chatbot.server.observe.tracing.otlp import OtlpTraces


def open_traces(settings: Settings, services: Sequence[str]) -> "OtlpTraces | None":
    """Where requests are told; None where no collector is named.

    Args:
        settings: Of the process.
        services: Of the process; one gives it its name.

    Raises:
        ValueError: The packages for it are not installed.
    """
    chosen = settings.traces
    if not chosen.url:
        return None
    try:
        from chatbot.server.observe.tracing.otlp import OtlpTraces  # 0.3 CPU s, for those who want it
    except ImportError:
        raise ValueError("CHATBOT_TRACES_URL: needs the packages of chatbot-platform[traces]") from None
    name = f"chatbot-{services[0]}" if len(services) == 1 else "chatbot"
    return OtlpTraces(chosen.url, name, sampled=chosen.sample_ratio)
