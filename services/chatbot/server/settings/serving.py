"""How requests come in, how long they wait, and what is seen of it."""

from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class HttpSettings(Section):
    """The listening socket and what is believed of a request."""

    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached by its address; NetworkPolicies say who may
    """Address to listen on."""

    port: int | None = Field(None, ge=1, le=65535)
    """Port to listen on. None: office 8002, character 8003, not-found 8080, chatbot-local 8001."""

    root_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Prefix that the gateway strips (`/office`); docs and OpenAPI are written with it."""

    trusted_proxies: list[IPv4Network | IPv6Network] = []
    """Networks whose `X-Forwarded-*` headers are believed, as a JSON list. None by default: they can be forged."""

    body_bytes: int = Field(128 * 1024, ge=1024, le=16 * 2**20)
    """Largest body of the product's endpoints, bytes. Well above the longest valid request."""

    v1_body_bytes: int = Field(4 * 2**20, ge=1024, le=64 * 2**20)
    """Largest body of `/v1/*`, bytes: 100 messages of 8,000 characters of 4 bytes fit. The gateway has the same."""

    cors_origins: list[str] = []
    """Origins that browsers may call from, as a JSON list; none by default, never `*`."""

    send_timeout_seconds: float = Field(30.0, gt=0, le=600)
    """A client that takes nothing for so long is cut off, seconds."""

    lame_duck_seconds: float = Field(0.0, ge=0, le=600)
    """After SIGTERM, requests that still come are served for so long, seconds, while anything admitted has not ended;
    then they get 503. For gateways that learn late that a pod ends."""


class QueueSettings(Section):
    """The waiting line."""

    timeout_seconds: float = Field(180.0, gt=0, le=3600)
    """Longest wait, seconds: refused above it by estimate, evicted at it with 504."""

    max_waiting: int = Field(512, ge=0, le=100_000)
    """Hard bound of waiting requests, whatever the estimate says: bounds memory."""


class MetricsSettings(Section):
    """The internal port: metrics and model status. Never through the gateway."""

    host: str = "0.0.0.0"  # noqa: S104 - scraped from other pods
    """Address to listen on."""

    port: int = Field(9090, ge=1, le=65535)
    """Port to listen on."""


class LogSettings(Section):
    """Logs: one JSON object per line on standard output, without text of users."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
