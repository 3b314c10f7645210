"""Settings of documents, a section of `Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class DocumentSettings(Section):
    """Documents of users, and questions to them."""

    store: Literal["none", "sqlite", "mongodb"] = "none"
    """Where documents live; none switches them off. sqlite is for one machine, also with several processes on it;
    mongodb is the database of `CHATBOT_MONGODB_*`, for any number of machines."""

    sqlite_path: Path = Path("var/documents.sqlite3")
    """File of the embedded store."""

    file_bytes: int = Field(20 * 2**20, ge=1024, le=64 * 2**20)
    """Largest file that is taken, bytes."""

    reader_memory_bytes: int = Field(512 * 2**20, ge=128 * 2**20, le=8 << 30)
    """Memory that reading one file may take, bytes; more ends it with the reason parser_memory."""

    reader_cpu_seconds: int = Field(30, ge=1, le=3600)
    """CPU time that reading one file may take, seconds; more ends it with the reason parser_timeout."""
