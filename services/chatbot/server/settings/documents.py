"""Settings of documents and of the model that finds them by meaning."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class DocumentSettings(Section):
    """Documents of users, and questions to them."""

    store: Literal["none", "sqlite", "mongodb", "qdrant"] = "none"
    """Where documents live; none switches them off. sqlite is for one machine, also with several processes on it;
    mongodb is the database of `CHATBOT_MONGODB_*`, for any number of machines. With qdrant passages are found by a
    Qdrant, and all else is in MongoDB."""

    sqlite_path: Path = Path("var/documents.sqlite3")
    """File of the embedded store."""

    file_bytes: int = Field(20 * 2**20, ge=1024, le=64 * 2**20)
    """Largest file that is taken, bytes."""

    qdrant_url: str = Field("", pattern=r"^(https?://[^@\s?#]+)?$")
    """Address of a Qdrant from 1.19 on, `http://host:6333` or `https://…`, for qdrant. No texts and no names of users
    are sent there, but words as numbers, and vectors."""

    qdrant_api_key_file: Path | None = None
    """File that holds its API key, which must read, write and make collections. None: no key is sent."""

    qdrant_prefix: str = Field("chatbot", pattern=r"^[A-Za-z0-9_-]{1,40}$")
    """Beginning of the names of its collections; installations that share a Qdrant differ in it."""

    reader_memory_bytes: int = Field(512 * 2**20, ge=128 * 2**20, le=8 << 30)
    """Memory that reading one file may take, bytes; more ends it with the reason parser_memory."""

    reader_cpu_seconds: int = Field(30, ge=1, le=3600)
    """CPU time that reading one file may take, seconds; more ends it with the reason parser_timeout."""

    @property
    def has_rows_in_mongodb(self) -> bool:
        """Whether MongoDB says which documents there are."""
        return self.store in ("mongodb", "qdrant")


class EmbeddingSettings(Section):
    """The model that makes vectors of texts: a GGUF of ours, or an API; none of both leaves search to the words."""

    path: Path | None = None
    """A GGUF file of an embedding model, served by a process of its own."""

    dir: Path | None = None
    """Instead: where the claim of a Model of kind Embedding is mounted, `<dir>/<revision>/model.gguf`. The file is
    changed while requests go on; documents get new vectors then."""

    revision_dir: Path = Path("/etc/embedding-podinfo")
    """With it: folder with `model-revision` (followed) and `good-revision` (read at start where the first is empty)."""

    url: str = Field("", pattern=r"^(https?://[^@\s]+)?$")
    """Base URL of an OpenAI-compatible API that has `/embeddings`, without credentials. Passages and questions are
    sent there."""

    model: str = Field("", max_length=200)
    """Model to ask the API for. Needed with the URL."""

    api_key_file: Path | None = None
    """File that holds the key of the API. None: no key is sent."""

    name: str = Field("", max_length=200)
    """Name of the model for clients of `/v1/embeddings`. Empty: its own."""

    family: str = Field("", max_length=200)
    """Name by which the words around questions and passages are found, such as multilingual-e5. Empty: the model's."""

    pooling: Literal["", "mean", "cls", "last"] = ""
    """How rows become one vector. Empty: as the file says, else its family. An API does that itself."""

    dimensions: int = Field(0, ge=0, le=8192)
    """First numbers of a vector that are kept; for models that were trained for it. 0: all."""

    context_tokens: int = Field(2048, ge=32, le=32768)
    """Longest text, tokens; clipped to what the file supports. Longer passages are cut. More needs more memory."""

    least_cosine: float = Field(0.3, ge=-1, le=1)
    """A passage without any of the question's words and less similar than this is not found. It depends on the model:
    e5 gives more than 0.7 to anything."""

    threads: int = Field(0, ge=0, le=1024)
    """CPU threads. 0: the CPUs that the cgroup and the affinity mask give; chat comes first."""

    gpu_layers: int = Field(-1, ge=-1, le=1024)
    """Layers on the GPU; -1 is all, where there is a GPU."""
