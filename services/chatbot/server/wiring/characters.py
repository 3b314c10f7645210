"""Settings -> characters that tenants keep, and how a service plays them."""

from datetime import UTC, datetime

from chatbot.adapters.characters.curated_file import CuratedFile
from chatbot.adapters.characters.files import BoundedCardFiles
from chatbot.api.characters.objects import ObjectWords
from chatbot.core.characters.book import CharacterBook
from chatbot.core.characters.curation.entries import EntryReader
from chatbot.core.characters.curation.shelf import CuratedFirst
from chatbot.core.characters.desk import CharacterDesk
from chatbot.core.characters.preview import Previewer
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.characters import CharacterStore
from chatbot.llm.llama_cpp import LlamaCppGenerator
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import followed_path, mongo_uri


def open_curated(settings: Settings, *, has_characters: bool) -> CuratedFile:
    """Characters that whoever operates the services brings.

    Raises:
        ValueError: The file cannot be used, or is named in a folder that is not there.
    """
    path = followed_path(settings, settings.characters.file, "CHATBOT_CHARACTERS_FILE", "characters.yaml")
    return CuratedFile(path if has_characters else None, EntryReader(ObjectWords(), lambda: datetime.now(UTC)).read)


def open_characters(settings: Settings, curated: CuratedFile) -> CharacterBook:
    """Characters of all tenants; their store connects when it is first used.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    chosen = settings.characters
    store = CuratedFirst(_open_store(settings), curated)
    return CharacterBook(store, BoundedCardFiles(), most=chosen.max_own, file_bytes=chosen.file_bytes)


def open_desk(book: CharacterBook, templates: PromptTemplates, generator: LlamaCppGenerator) -> CharacterDesk:
    """Characters as one service plays them."""

    def context_tokens() -> int:
        model = generator.model()
        return model.context_tokens if model is not None else 0

    return CharacterDesk(book, Previewer(templates, generator.prompt_tokens, context_tokens))


def _open_store(settings: Settings) -> CharacterStore:
    if settings.records_store == "sqlite":
        from chatbot.adapters.characters.sqlite import SqliteCharacters

        beside = settings.history.sqlite_path.with_name("characters.sqlite3")
        return SqliteCharacters(settings.characters.sqlite_path or beside)
    from chatbot.adapters.characters.mongo import MongoCharacters

    return MongoCharacters.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)
