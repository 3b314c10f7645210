"""Which model a process serves: the states and reasons that `GET :9090/model` shows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ModelState(StrEnum):
    """State of the served model."""

    NO_MODEL = "no_model"
    LOADING = "loading"
    SERVING = "serving"
    SWAPPING = "swapping"
    FAILED = "failed"


class ModelReason(StrEnum):
    """Why a model is not served. The operator maps these to condition reasons."""

    MODEL_MISSING = "ModelMissing"
    MODEL_INVALID = "ModelInvalid"
    LOAD_FAILED = "LoadFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    LOAD_TIMEOUT = "LoadTimeout"
    ENGINE_CRASHED = "EngineCrashed"
    SMOKE_EMPTY = "SmokeEmpty"
    SMOKE_NAN = "SmokeNaN"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What `GET :9090/model` answers.

    Attributes:
        revision: Revision that is served now, "" where none is.
        expected: Revision that should be served, "" where none is known yet.
        since: Start of this state, UTC.
        reason: None while nothing is wrong.
        message: One sentence for a person, with the remedy; "" while nothing is wrong.
        tokens_per_second: Speed of the smoke answer; 0 before there was one.
        engine_restarts: Restarts of the engine process that nobody asked for, since the process started.
    """

    state: ModelState
    revision: str
    expected: str
    since: datetime
    reason: ModelReason | None = None
    message: str = ""
    tokens_per_second: float = 0.0
    engine_restarts: int = 0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that is served, for `/info` and `/v1/models`.

    Attributes:
        name: Name from the settings, else of the file.
        sha256: 64 hex characters, or "" while it is not known.
        context_tokens: Most tokens that one request may use, prompt and answer together.
        is_demo: Whether this is the toy that ships with the project.
        tool_dialect: How it is told of tools: generic, in plain text, hermes, llama31, mistral or mistral7; ""
            where that is not known.
    """

    name: str
    revision: str
    sha256: str
    context_tokens: int
    chat_format: str
    is_demo: bool = False
    tool_dialect: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the engine offers the waiting line right now.

    Attributes:
        slots: Generations that run at once.
        open: Whether new generations start now.
        opens_in_seconds: While closed: estimated seconds until they do (load, restart, swap). None: nobody
            knows (no model, failed), so newcomers are refused.
    """

    slots: int
    open: bool
    opens_in_seconds: float | None = 0.0
