"""The OpenAI-compatible second backend, and when it may answer."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class OpenAISettings(Section):
    """The OpenAI-compatible second backend; off until `model` is set."""

    base_url: str = Field("https://api.openai.com/v1", pattern=r"^https?://[^@\s]+$")
    """Base URL of the API, without credentials. `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are honoured."""

    api_key_file: Path | None = None
    """File that holds the key. None: no key is sent."""

    model: str = ""
    """Model to ask for. Empty: the backend is off."""

    free_mode: bool = True
    """Whether users are answered with that key. Off: only with a key of their own (`X-Upstream-Api-Key`)."""

    user_field: Literal["none", "user", "safety_identifier"] = "none"
    """Parameter that tells users apart there, by pseudonyms: OpenAI's `safety_identifier`, `user` of many others. A
    server that does not know it may refuse requests."""

    timeout_seconds: float = Field(60.0, gt=0, le=600)
    """One deadline for an answer, retries included, seconds."""

    max_concurrent: int = Field(16, ge=1, le=1000)
    """Requests to the API at once."""


class FallbackSettings(Section):
    """Whether `/Llama` may be answered by the second backend."""

    enabled: bool = False
    """Off: nothing leaves the house. On: while no local model serves, except for `local_only` conversations."""
