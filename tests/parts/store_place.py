"""Where a conversation store keeps its data: one value opens it in this process or, as text, in another."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from chatbot.adapters.history_bounds import HistoryBounds, utc_now
from chatbot.adapters.mongo import MongoConversations
from chatbot.adapters.redis.conversations import RedisConversations
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.domain.ports import ConversationStore

KINDS = ("sqlite", "motor", "pymongo")
HISTORY_KINDS = (*KINDS, "redis")
"""Where conversations may live."""

DOCUMENT_KINDS = (*KINDS, "qdrant")
"""Where documents may live: with qdrant their passages are found there, and the rest is in MongoDB."""


@dataclass(frozen=True)
class StorePlace:
    """`where` is a file, a connection string or a URL; `database` is of MongoDB alone, and names Qdrant's collections.

    `qdrant` is its URL, and `qdrant_folder` what lies on its disk.
    """

    kind: str
    where: str
    database: str = ""
    qdrant: str = ""
    qdrant_folder: str = ""

    def open(self, bounds: HistoryBounds | None = None, clock: Callable[[], datetime] = utc_now) -> ConversationStore:
        """Open the store."""
        bounds = bounds or HistoryBounds()
        if self.kind == "sqlite":
            return SqliteConversations.open(Path(self.where), bounds, clock=clock)
        if self.kind == "redis":
            return RedisConversations.open(self.where, bounds, clock=clock)
        return MongoConversations.open(self.where, self.database, self.kind, bounds, clock=clock)  # type: ignore[arg-type]

    def to_text(self) -> str:
        """As an argument of a process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "StorePlace":
        """From an argument of a process."""
        return cls(**json.loads(text))
