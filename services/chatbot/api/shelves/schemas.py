"""What the endpoints take. Bounds are the OpenAI API's."""

from typing import Annotated, Any, Literal

from pydantic import Field

from chatbot.api.schemas import TextModel

FILE_PURPOSES = ("assistants", "user_data")
_KEY = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_TEXT = Annotated[str, Field(max_length=500)]
FileId = Annotated[str, Field(min_length=1, max_length=128)]
Attributes = Annotated[dict[_KEY, _TEXT | bool | float], Field(max_length=16)]


class Chunking(TextModel):
    """How files are cut; only the service's own way."""

    type: Literal["auto"] = "auto"


class FileFields(TextModel):
    """What stands beside a file in its form."""

    name: str = Field(min_length=1, max_length=200)
    purpose: Literal["assistants", "user_data"]


class VectorStoreFields(TextModel):
    """A store to be made."""

    name: str = Field("", max_length=200, description="Shown in lists; empty: the store's id.")
    file_ids: list[FileId] = Field([], max_length=100, description="Files to put into it at once.")
    metadata: Annotated[dict[_KEY, _TEXT], Field(max_length=16)] | None = Field(None, description="Texts of yours.")
    chunking_strategy: Chunking | None = Field(None, description="Only `auto`.")
    expires_after: None = Field(None, description="Stores do not expire; leave it out.")


class PlaceFields(TextModel):
    """A file to be put into a store."""

    file_id: FileId
    attributes: Attributes | None = Field(None, description="Of this file here; searches filter by them.")
    chunking_strategy: Chunking | None = Field(None, description="Only `auto`.")


class Ranking(TextModel):
    """How results are chosen."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: float = Field(0.0, ge=0, le=1, description="Results with less are left out; the best has 1.")


class SearchFields(TextModel):
    """A question to a store."""

    query: Annotated[str, Field(min_length=1, max_length=4096)] | Annotated[list[_TEXT], Field(min_length=1)] = Field(
        description="What is looked for; several are looked for as one.", examples=["연차는 며칠인가요?"]
    )
    filters: dict[str, Any] | None = Field(
        None,
        description="A comparison (`type` eq, ne, gt, gte, lt, lte, in, nin; `key`; `value`), or and/or of `filters`.",
        examples=[{"type": "eq", "key": "team", "value": "hr"}],
    )
    max_num_results: int = Field(10, ge=1, le=50, description="Passages at most.")
    ranking_options: Ranking | None = None
    local_only: bool = Field(False, description="Find by words alone where the embedding model is elsewhere.")
    rewrite_query: bool = Field(False, description="Questions are looked up as they are, whatever this says.")
