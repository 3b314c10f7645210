"""Nobody can keep anything about people without saying so: every table, and every list of stores, is accounted for."""

import re
from pathlib import Path

import pytest
from chatbot.api.personal.texts import PERSONAL_TEXTS
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.accounts import LimitSettings
from chatbot.server.settings.documents import DocumentSettings
from chatbot.server.settings.history import HistorySettings, MongoSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.audit import open_audit
from chatbot.server.wiring.documents.opening import open_documents
from chatbot.server.wiring.personal.people import open_people, open_tombstones
from parts.memory_keys import MemoryKeys

ADAPTERS = Path(__file__).parents[2] / "services/chatbot/adapters"

# Table of SQLite, collection of MongoDB or prefix in Redis -> the store that answers for it, or why it needs none.
ACCOUNTED = {
    **dict.fromkeys(("conversations", "turns", "history"), "conversations"),
    **dict.fromkeys(("owners", "documents", "chunks", "vectors", "embedded"), "documents"),
    **dict.fromkeys(("document_owners", "document_files", "document_passages"), "documents"),
    **dict.fromkeys(("document_segments", "document_vectors"), "documents"),
    **dict.fromkeys(("things", "contents", "shelves", "shelf_files"), "files"),
    **dict.fromkeys(("requests", "usage"), "usage"),
    **dict.fromkeys(("accounts", "limits"), "limits"),
    "keys": "keys",
    **dict.fromkeys(("records", "marks", "audit", "audit_marks"), "audit"),
    **dict.fromkeys(("days", "usage_days"), "-: sums of days have no subject"),
    **dict.fromkeys(("characters", "revisions"), "-: cards are a tenant's, and no user owns one"),
    "spaces": "-: names of embedding models",
    "document_indexes": "-: a name that an index of documents goes by",
    "document_sweeps": "-: ids of documents, for a minute",
    "key_set": "-: one number",
    **dict.fromkeys(("erasures", "exports", "erasure_exports"), "-: keyed hashes, once an erasure is over"),
    **dict.fromkeys(("secret", "erasure_secret", "erasure_turns"), "-: what hashes are keyed with, and who works"),
}
NAMES = {"conversations", "documents", "files", "usage", "limits", "keys", "audit"}
_TABLE = re.compile(r"CREATE (?:VIRTUAL )?TABLE (?:IF NOT EXISTS )?(\w+)")
_PREFIX = re.compile(r'^PREFIX: Final = "chatbot:(\w+):"', re.MULTILINE)
_COLLECTION = re.compile(r"""database\]?\["(\w+)"\]""")
_CONSTANT = re.compile(r"""\[(?:database|self\._name)\]\[([A-Z]+)\]|database\[([A-Z]+)\]""")


def kept() -> dict[str, str]:
    """Every table, collection and prefix of keys that an adapter makes, with the module that does."""
    found = {}
    for module in ADAPTERS.rglob("*.py"):
        text = module.read_text()
        names = [*_TABLE.findall(text), *_COLLECTION.findall(text), *_PREFIX.findall(text)]
        for constant in (one or other for one, other in _CONSTANT.findall(text)):
            names += re.findall(rf'^{constant}(?:: Final)? = "(\w+)"', text, re.MULTILINE)
        found |= {name: str(module.relative_to(ADAPTERS)) for name in names}
    return found


def test_every_table_is_accounted_for() -> None:
    found = kept()

    assert len(found) > 30
    assert {name: module for name, module in found.items() if name not in ACCOUNTED} == {}
    assert {why for why in ACCOUNTED.values() if not why.startswith("-: ")} == NAMES
    assert set(ACCOUNTED) == set(found)


@pytest.mark.parametrize("history", ["sqlite", "mongodb", "redis"])
@pytest.mark.parametrize("documents", ["none", "sqlite", "mongodb", "qdrant"])
async def test_the_list_of_stores_is_whole_wherever_they_are(tmp_path: Path, history: str, documents: str) -> None:
    uri, url, pepper = tmp_path / "uri", tmp_path / "url", tmp_path / "pepper"
    url.write_text("redis://127.0.0.1:1/0")
    uri.write_text("mongodb://127.0.0.1:1/")
    pepper.write_text("p" * 32)
    settings = Settings(
        history=HistorySettings(store=history, sqlite_path=tmp_path / "history", redis_url_file=url),  # type: ignore[arg-type]
        documents=DocumentSettings(
            store=documents,  # type: ignore[arg-type]
            sqlite_path=tmp_path / "documents",
            qdrant_url="http://127.0.0.1:1",
        ),
        limits=LimitSettings(sqlite_path=tmp_path / "limits"),
        mongodb=MongoSettings(uri_file=uri if history != "redis" or documents in ("mongodb", "qdrant") else None),
    )
    peppers = Peppers.load(pepper)
    keys = KeyCheck(stored=StoredKeys(MemoryKeys(), peppers), peppers=peppers)
    opened = open_documents(settings)
    library = opened.library.store if opened is not None else None
    people = open_people(settings, open_tombstones(settings), library, keys, Meters(["office"]), open_audit(settings))

    names = [store.name for store in people.stores]
    await people.close()
    if opened is not None:
        await opened.library.store.close()
        await opened.shelves.store.close()

    without = {"documents", "files"} if documents == "none" else set()
    assert set(names) == NAMES - without
    assert len(names) == len(set(names))


def test_a_store_that_leaves_rows_says_why_in_every_language() -> None:
    assert [len(PERSONAL_TEXTS[f"kept.{reason}"]) for reason in ("limits", "keys", "audit")] == [3, 3, 3]
