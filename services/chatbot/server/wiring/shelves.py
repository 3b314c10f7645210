"""Settings -> files and vector stores, beside the documents that they are made into."""

from chatbot.core.retrieval.library import Library
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.shelves.shelf_store import ShelfStore
from chatbot.server.settings.whole import Settings

_FILE = "files.sqlite3"


def open_shelves(settings: Settings, library: Library, mongo_uri: str | None) -> Shelves:
    """Files where documents are; the store is opened when it is first used.

    Args:
        settings: Of the process.
        library: Its documents.
        mongo_uri: Connection string, where documents live in MongoDB.

    Raises:
        ValueError: The connection string is none.
    """
    return Shelves(_open_store(settings, mongo_uri), library)


def _open_store(settings: Settings, mongo_uri: str | None) -> ShelfStore:
    if mongo_uri is None:
        from chatbot.adapters.shelves.sqlite import SqliteShelves

        return SqliteShelves(settings.documents.sqlite_path.with_name(_FILE))
    from chatbot.adapters.shelves.mongo import MongoShelves

    return MongoShelves.open(mongo_uri, settings.mongodb.database, settings.mongodb.driver)
