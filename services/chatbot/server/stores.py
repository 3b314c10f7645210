"""Settings -> where conversations and keys live: one file each on one machine, one database in a cluster."""

from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.mounted import MountedKeys
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.domain.ports import ConversationStore, KeyStore
from chatbot.server.settings import Settings


def open_store(settings: Settings) -> ConversationStore:
    """Where conversations live; it connects when it is first used.

    Raises:
        ValueError, OSError: The file with the connection string is missing or holds none.
    """
    history = settings.history
    bounds = HistoryBounds(history.max_turns, history.max_bytes, history.ttl_seconds)
    if history.store == "sqlite":
        return SqliteConversations.open(history.sqlite_path, bounds)
    from chatbot.adapters.mongo import MongoConversations  # the driver costs 0.3 CPU s and 25 MiB to import

    return MongoConversations.open(_mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver, bounds)


def open_keys(settings: Settings) -> KeyCheck:
    """The keys that callers are asked for, of the mounted file, of the store, of both or of none.

    Raises:
        ValueError: A file cannot be used; the message names the setting.
    """
    auth = settings.auth
    mounted = MountedKeys(auth.keys_file) if auth.keys_file is not None else None
    if auth.pepper_file is None:
        return KeyCheck(mounted)
    peppers = Peppers.load(auth.pepper_file)
    return KeyCheck(mounted, StoredKeys(open_key_store(settings), peppers), peppers)


def open_key_store(settings: Settings) -> KeyStore:
    """Where keys are kept; it connects when it is first used.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    if settings.history.store == "sqlite":
        from chatbot.adapters.keys.sqlite import SqliteKeys

        return SqliteKeys(settings.auth.sqlite_path)
    from chatbot.adapters.keys.mongo import MongoKeys

    return MongoKeys.open(_mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)


def _mongo_uri(settings: Settings) -> str:
    if settings.mongodb.uri_file is None:
        raise ValueError("CHATBOT_MONGODB_URI_FILE: needed where CHATBOT_HISTORY_STORE=mongodb")
    try:
        return settings.mongodb.uri_file.read_text("utf-8").strip()
    except OSError as exc:
        raise ValueError(f"CHATBOT_MONGODB_URI_FILE: cannot be read: {exc.strerror}") from None
