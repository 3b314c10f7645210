"""Settings of characters, a section of `Settings`."""

from pathlib import Path

from pydantic import Field

from chatbot.server.settings.section import Section


class CharacterSettings(Section):
    """Characters that tenants keep, in the same kind of store as conversations (`CHATBOT_HISTORY_STORE`)."""

    sqlite_path: Path | None = None
    """File of the embedded store. None: characters.sqlite3 beside the file of conversations."""

    file: Path | None = None
    """Curated characters, YAML or JSON; read again when it changes. None: `characters.yaml` beside the SQLite file,
    where `CHATBOT_HISTORY_STORE=sqlite`. They are read-only, and before those that tenants keep under the same name."""

    max_own: int = Field(100, ge=0, le=1_000)
    """Characters that one tenant may keep; 0 lets nobody add any."""

    file_bytes: int = Field(16 * 2**20, ge=4096, le=64 * 2**20)
    """Largest file of a card that is taken, bytes; pictures are most of it, and are not kept."""
