"""One feed in a process of its own: `python -m chatbot.server.reading.feed_child`.

Standard input: the feed's bytes, to their end. Standard output: a JSON list of items. It limits itself before it reads:
what a hostile feed can do is to end this process. The library is given bytes alone: it would open a text that is an
address or the name of a file.
"""

import json
import os
import sys
import time
from typing import Any, Final

import feedparser

from chatbot.adapters.documents.reader_process import Request
from chatbot.server.reading.child import limit

MAX_ITEMS: Final = 200
MAX_TEXT_CHARACTERS: Final = 4_000
_LIMITS: Final = Request("feed", 0, 0, memory_bytes=256 * 2**20, cpu_seconds=4)


def main() -> None:
    """Read one feed; exits 1 where it is none."""
    limit(_LIMITS)
    # No sanitizer and no addresses made absolute: all markup is removed by whoever shows the text.
    read = feedparser.parse(sys.stdin.buffer.read(), sanitize_html=False, resolve_relative_uris=False)
    if not read.get("version"):
        sys.exit(1)
    feed = str(read.feed.get("title", ""))
    json.dump([_item(entry, feed) for entry in read.entries[:MAX_ITEMS]], sys.stdout)


def _item(entry: Any, feed: str) -> dict[str, str]:
    published = entry.get("published_parsed") or entry.get("updated_parsed")
    texts = {name: str(entry.get(name, ""))[:MAX_TEXT_CHARACTERS] for name in ("title", "link", "summary")}
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", published) if published else ""
    return {**texts, "published": when, "feed": feed[:MAX_TEXT_CHARACTERS]}


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except (Exception, SystemExit):  # a library's fault on this feed; its text must not reach a log
        os._exit(1)
