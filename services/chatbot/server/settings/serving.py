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
    """After SIGTERM, requests that still come are served for so long, seconds; then they get 503. For gateways that
    learn late that a pod ends."""


class QueueSettings(Section):
    """The waiting line."""

    timeout_seconds: float = Field(180.0, gt=0, le=3600)
    """Longest wait, seconds: refused above it by estimate, evicted at it with 504."""

    max_waiting: int = Field(512, ge=0, le=100_000)
    """Hard bound of waiting requests, whatever the estimate says: bounds memory."""


class CacheSettings(Section):
    """Answers of office that are kept for questions that are asked again word by word.

    Single ones (no `db_id`), with temperature 0 or a seed, without documents, web and tools; in memory, in each process
    by itself.
    """

    enabled: bool = False
    """Whether answers are kept. `X-Chatbot-Cache` then tells `hit`, `joined` or `miss`; `Cache-Control: no-cache`, and
    `store: false`, ask for an answer that is made anew and not kept."""

    seconds: int = Field(600, ge=1, le=3600)
    """An answer is given again for so long, seconds."""

    limit_bytes: int = Field(64 * 2**20, ge=2**16, le=2**33)
    """Memory of all of them, bytes; those that nobody wanted for the longest time go first."""

    max_entries: int = Field(100_000, ge=1, le=10_000_000)
    """Most answers."""

    tenants: list[str] = []
    """Tenants whose answers are kept, as a JSON list; empty: everybody's."""

    shared_tenants: list[str] = []
    """Tenants whose users get each other's answers, as a JSON list. All others' users get their own alone."""


class MetricsSettings(Section):
    """The internal port: metrics and model status. Never through the gateway."""

    host: str = "0.0.0.0"  # noqa: S104 - scraped from other pods
    """Address to listen on."""

    port: int = Field(9090, ge=1, le=65535)
    """Port to listen on."""


class TracesSettings(Section):
    """Spans of answers for an OpenTelemetry collector: counts, seconds and pseudonyms, never text."""

    url: str = Field("", pattern=r"^(https?://[^@\s]+)?$")
    """Where the collector takes OTLP over HTTP, as `http://collector:4318/v1/traces`; empty: nobody is told."""

    sample_ratio: float = Field(1.0, ge=0, le=1)
    """Share of requests that are told, 0-1. Where a caller sends a `traceparent`, its flag decides."""


class LogSettings(Section):
    """Logs: one JSON object per line on standard output, without text of users."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
