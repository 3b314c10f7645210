"""A process that writes rows of use until it is killed: a line on standard output after each batch that is kept."""

import asyncio
import sys
from itertools import count

from parts.store_place import StorePlace
from parts.usage_rows import open_usage, rows


async def main(place: StorePlace, prefix: str) -> None:
    """Write."""
    store = open_usage(place)
    for batch in count():
        await store.add(rows(50, prefix=f"{prefix}{batch}-", seed=batch))
        sys.stdout.write("50\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(StorePlace.from_text(sys.argv[1]), sys.argv[2]))
