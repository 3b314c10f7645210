"""Where conversations live."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class HistorySettings(Section):
    """Conversations."""

    store: Literal["sqlite", "mongodb", "redis"] = "sqlite"
    """Where conversations live. sqlite is for one machine, also with several processes on it. With redis everything
    else lives in MongoDB where `CHATBOT_MONGODB_URI_FILE` is set, else as with sqlite."""

    sqlite_path: Path = Path("var/chatbot.sqlite3")
    """File of the embedded store."""

    redis_url_file: Path | None = None
    """File with the URL of a Redis or Valkey, `redis://user:password@host:6379/0` or `rediss://…`, for redis. It must
    forget nothing by itself: one whose `maxmemory-policy` may drop keys is refused."""

    when_down: Literal["refuse", "answer"] = "refuse"
    """While the store does not answer: refuse with 503, or answer with `X-History-Saved: false`."""

    max_turns: int = Field(200, ge=1, le=10_000)
    """Turns kept per conversation; the oldest go first."""

    max_bytes: int = Field(1 << 20, ge=4096, le=8 << 20)
    """Bytes of text kept per conversation; the oldest turns go first. MongoDB's document limit is 16 MiB."""

    ttl_seconds: int = Field(30 * 86400, ge=3600, le=10 * 365 * 86400)
    """A conversation that nobody touched for so long is deleted, seconds."""


class MemorySettings(Section):
    """What is told of long conversations."""

    summaries: Literal["none", "local", "same"] = "none"
    """Who writes down what the oldest turns said, once the turns take 60 % of their room in the prompt: nobody (the
    oldest are not told any more), the local model, or the same model that answered. How good that is depends on the
    model. It is made in slots that nobody wants; the turns stay stored."""


class MongoSettings(Section):
    """MongoDB, where `CHATBOT_HISTORY_STORE` is mongodb, or `CHATBOT_DOCUMENTS_STORE` mongodb or qdrant."""

    uri_file: Path | None = None
    """File that holds the connection string with its password."""

    database: str = Field("chatbot", pattern=r"^[A-Za-z0-9_-]{1,63}$")
    """Database name."""

    driver: Literal["motor", "pymongo"] = "motor"
    """motor as the product was specified; pymongo's own asyncio client is its successor (ADR 0005)."""
