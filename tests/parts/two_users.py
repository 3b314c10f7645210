"""The documents of two users of one tenant: what belongs to one must not be seen by the other."""

from pathlib import Path

from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Upload

from parts.document_place import completed

NOT_MINE = "99일"
"""Stands in the second user's document only, and in no random boundary of a prompt."""


async def two_users_documents(folder: Path) -> Library:
    """`test_user` has 15 days off, `somebody` a secret 99."""
    store = SqliteDocuments(folder / "documents.sqlite3", DocumentBounds())
    for user, text in (("test_user", "연차는 15일이다."), ("somebody", f"연차는 비밀로 {NOT_MINE}이다.")):
        upload = Upload("rules.md", f"{user}: {text}".encode(), "default", {"title": "규정"})
        await completed(store, Caller("", user), upload, [text])
    return Library(store, Retriever(store), lambda: None, 1_000_000)
