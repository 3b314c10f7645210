"""Environment -> typed settings. Read once, in an entry point; inner layers get small frozen objects.

Names are `CHATBOT_` + section + field: `CHATBOT_QUEUE_TIMEOUT_SECONDS` is `settings.queue.timeout_seconds`.
Secrets come as files (`*_FILE`), so that they are in no environment and no process list.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chatbot.server.auth_settings import AuthSettings, LimitSettings
from chatbot.server.document_settings import DocumentSettings
from chatbot.server.section import Section, check_time_zone
from chatbot.server.web.settings import SearchSettings


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


class GenerationSettings(Section):
    """Defaults and bounds of one answer."""

    timeout_seconds: float = Field(120.0, gt=0, le=3600)
    """Longest generation from dispatch, seconds; then the answer ends with `finish_reason: length`."""

    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature where the caller gives none; 0 is greedy."""

    top_p: float = Field(0.9, gt=0, le=1)
    """Nucleus sampling where the caller gives none."""

    repeat_penalty: float = Field(1.08, ge=1, le=2)
    """Repetition penalty where the caller gives none; 1 is off."""


class ModelSettings(Section):
    """Which file is served."""

    path: Path | None = None
    """A GGUF file. Switches revisions off: the revision is then the first 16 hex of the file's own sha256."""

    dir: Path = Path("/models")
    """Where the claim is mounted: `<dir>/<revision>/model.gguf`."""

    revision_dir: Path = Path("/etc/podinfo")
    """Folder with `model-revision` (followed) and `good-revision` (read at start where the first is empty)."""

    name: str = ""
    """Name of the model for clients. Empty: the file's own name."""

    context_tokens: int = Field(8192, ge=128, le=1 << 20)
    """Most tokens one request may use, prompt and answer; clipped to what the file supports."""

    chat_format: Literal["", "llama3", "chatml", "gemma", "mistral"] = ""
    """Chat format. Empty: detected from the file's metadata."""

    ready_during_swap: bool = False
    """Whether readiness stays 200 during a planned swap; for one replica without autoscaling."""


_PARTS = "(streams|sharing|following|pinning|shortlist)"


class EngineSettings(Section):
    """Sizes of the engine process."""

    slots: int = Field(0, ge=0, le=256)
    """Generations at once (`max_concurrent`). 0: 8 with a GPU, else 4."""

    kv_tokens: int = Field(0, ge=0, le=1 << 24)
    """Cells of all generations together, tokens (llama.cpp's `n_ctx`). On a CPU each slot has its own where there are
    slots x context, which is the default if it fits; else they share one pool, 0: slots x context / 2, never below
    context + 1,024."""

    step_tokens: int = Field(0, ge=0, le=4096)
    """Most tokens of one step (`n_batch` = `n_ubatch`). 0: 512 with a GPU, else 160."""

    step_seconds: float = Field(0.25, ge=0.005, le=10)
    """Prompts are computed in pieces, so that a step beside running answers takes about this long, seconds: the pause
    that a long prompt makes in everybody's stream. Less makes streams smoother and long prompts slower."""

    idle_tokens: int = Field(-1, ge=-1, le=1 << 24)
    """Cells of a shared pool that finished conversations may keep for their next turn; every step reads them, so they
    are not free. -1: a quarter of the pool and at most 4,096 on a CPU, of which those beyond what this model carries
    cheaply move to main memory after a few steps; half and at most 16,384 on a GPU."""

    host_cache_mib: int = Field(-1, ge=-1, le=1 << 22)
    """Main memory for conversations that had to leave the pool; their next turn is copied back instead of computed.
    0 turns it off. -1: four times the pool, at most half of the memory that is left."""

    without: str = Field("", pattern=rf"^({_PARTS}(,{_PARTS})*)?$")
    """For measurements: parts of the engine to leave out, with commas between them: streams, sharing, following,
    pinning, shortlist."""

    threads: int = Field(0, ge=0, le=1024)
    """CPU threads. 0: the CPUs that the cgroup and the affinity mask give."""

    gpu_layers: int = Field(-1, ge=-1, le=1024)
    """Layers on the GPU; -1 is all, where there is a GPU."""

    load_timeout_seconds: float = Field(300.0, gt=0, le=7200)
    """A load that takes longer is given up, seconds. 8 GB from a slow network disk take about 100."""


class HistorySettings(Section):
    """Conversations."""

    store: Literal["sqlite", "mongodb"] = "sqlite"
    """Where conversations live. sqlite is for one machine, also with several processes on it."""

    sqlite_path: Path = Path("var/chatbot.sqlite3")
    """File of the embedded store."""

    when_down: Literal["refuse", "answer"] = "refuse"
    """While the store does not answer: refuse with 503, or answer with `X-History-Saved: false`."""

    max_turns: int = Field(200, ge=1, le=10_000)
    """Turns kept per conversation; the oldest go first."""

    max_bytes: int = Field(1 << 20, ge=4096, le=8 << 20)
    """Bytes of text kept per conversation; the oldest turns go first. MongoDB's document limit is 16 MiB."""

    ttl_seconds: int = Field(30 * 86400, ge=3600, le=10 * 365 * 86400)
    """A conversation that nobody touched for so long is deleted, seconds."""


class MongoSettings(Section):
    """MongoDB, where `CHATBOT_HISTORY_STORE=mongodb`."""

    uri_file: Path | None = None
    """File that holds the connection string with its password."""

    database: str = Field("chatbot", pattern=r"^[A-Za-z0-9_-]{1,63}$")
    """Database name."""

    driver: Literal["motor", "pymongo"] = "motor"
    """motor as the product was specified; pymongo's own asyncio client is its successor (ADR 0005)."""


class OpenAISettings(Section):
    """The OpenAI-compatible second backend; off until `model` is set."""

    base_url: str = Field("https://api.openai.com/v1", pattern=r"^https?://[^@\s]+$")
    """Base URL of the API, without credentials. `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are honoured."""

    api_key_file: Path | None = None
    """File that holds the key. None: no key is sent."""

    model: str = ""
    """Model to ask for. Empty: the backend is off."""

    timeout_seconds: float = Field(60.0, gt=0, le=600)
    """One deadline for an answer, retries included, seconds."""

    max_concurrent: int = Field(16, ge=1, le=1000)
    """Requests to the API at once."""


class FallbackSettings(Section):
    """Whether `/Llama` may be answered by the second backend."""

    enabled: bool = False
    """Off: nothing leaves the house. On: while no local model serves, except for `local_only` conversations."""


class ToolSettings(Section):
    """Tools that the services run themselves: time, arithmetic, units of measure, the day's fortune, emotion."""

    enabled: bool | None = None
    """Whether the local model may call them for `/Llama`; each question then begins with a short decision. None: on
    for office, off for character. The demo model is never offered any."""

    time_zone: str = "Asia/Seoul"
    """IANA name of the time zone that is meant where a question names no place."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return check_time_zone(name)


class PromptSettings(Section):
    """Prompt files."""

    dir: Path | None = None
    """Folder with `config-Llama.json` and `config-OpenAI.json` that replace the service's own."""


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


class Settings(BaseSettings):
    """All settings of a service."""

    model_config = SettingsConfigDict(
        env_prefix="CHATBOT_", env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )

    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    queue: QueueSettings = QueueSettings()
    generation: GenerationSettings = GenerationSettings()
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    history: HistorySettings = HistorySettings()
    mongodb: MongoSettings = MongoSettings()
    openai: OpenAISettings = OpenAISettings()
    fallback: FallbackSettings = FallbackSettings()
    tools: ToolSettings = ToolSettings()
    documents: DocumentSettings = DocumentSettings()
    search: SearchSettings = SearchSettings()
    prompts: PromptSettings = PromptSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @property
    def drain_seconds(self) -> float:
        """Longest time from SIGTERM to the end of what was admitted."""
        return self.http.lame_duck_seconds + self.queue.timeout_seconds + self.generation.timeout_seconds
