"""A process that appends turns as fast as it can and prints the id of each that was acknowledged.

busy_writer.py PLACE DB_ID PREFIX
"""

import asyncio
import itertools
import sys
from datetime import UTC, datetime

from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.domain.chat import Caller, ConversationKey, Turn

from parts.store_place import StorePlace

BOUNDS = HistoryBounds(max_turns=10_000, max_bytes=8 << 20)


def key_of(db_id: str) -> ConversationKey:
    """The conversation that the writers of one round share."""
    return ConversationKey("office", Caller("", "user"), db_id)


async def write(place: StorePlace, db_id: str, prefix: str) -> None:
    """Append until killed."""
    store = place.open(BOUNDS)
    for number in itertools.count():
        turn_id = f"{prefix}{number}"
        await store.append(key_of(db_id), Turn(turn_id, turn_id, turn_id * 20, datetime.now(UTC)), epoch=0)
        sys.stdout.write(turn_id + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(StorePlace.from_text(sys.argv[1]), sys.argv[2], sys.argv[3]))
