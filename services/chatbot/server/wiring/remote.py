"""The OpenAI-compatible second backend."""

import os
from pathlib import Path

from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.domain.model import Capacity
from chatbot.domain.ports import TextGenerator
from chatbot.server.observe.telemetry import Meters, Unqueued
from chatbot.server.settings.whole import Settings


def open_remote(settings: Settings, meters: Meters) -> tuple[TextGenerator, Admission] | None:
    """The second backend with a line of its own, which has no queue metrics; None where it is off.

    Raises:
        ValueError: `SSL_CERT_FILE` or a proxy variable of the environment cannot be used, or who answers without a
            local model may not be asked.
    """
    if not settings.openai.model:
        return None
    if settings.fallback.enabled and not settings.openai.free_mode:
        raise ValueError("CHATBOT_FALLBACK_ENABLED: needs CHATBOT_OPENAI_FREE_MODE, whose key would answer otherwise?")
    from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions  # the SDK costs 1.1 CPU s and 50 MiB to import

    openai = settings.openai
    authorities = os.environ.get("SSL_CERT_FILE")
    options = OpenAIOptions(
        base_url=openai.base_url,
        model=openai.model,
        api_key_file=openai.api_key_file,
        timeout_seconds=openai.timeout_seconds,
        max_concurrent=openai.max_concurrent,
        user_field=openai.user_field,
        free_mode=openai.free_mode,
        ca_file=Path(authorities) if authorities else None,
    )
    policy = AdmissionPolicy(settings.queue.timeout_seconds, settings.queue.max_waiting)
    admission = Admission(policy, Capacity(openai.max_concurrent, open=True), Unqueued(meters, ""))
    return OpenAIGenerator(options), admission
