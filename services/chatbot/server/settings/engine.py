"""The model, the process that computes with it, and its answers."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatbot.server.settings.section import Section


class ModelSettings(Section):
    """Which file is served."""

    path: Path | None = None
    """A GGUF file. Switches revisions off: the revision is then the first 16 hex of the file's own sha256."""

    dir: Path = Path("/models")
    """Where the claim is mounted: `<dir>/<revision>/model.gguf`."""

    revision_dir: Path = Path("/etc/podinfo")
    """Folder with `model-revision` (followed) and `good-revision` (read at start where the first is empty)."""

    name: str = ""
    """Name of the model for clients. Empty: the file's own name."""

    context_tokens: int = Field(8192, ge=128, le=1 << 20)
    """Most tokens one request may use, prompt and answer; clipped to what the file supports."""

    chat_format: Literal["", "llama3", "chatml", "gemma", "mistral"] = ""
    """Chat format. Empty: detected from the file's metadata."""

    tool_dialect: Literal["", "generic"] = ""
    """How the model is told of tools. Empty: in its own words where its tokens are known (hermes: Qwen 2.5, Qwen 3;
    llama31: Llama 3.1 to 3.3; mistral, mistral7: Mistral's tokenizers V3 and V7), else in plain text. `generic`:
    always in plain text."""

    ready_during_swap: bool = False
    """Whether readiness stays 200 during a planned swap; for one replica without autoscaling."""


_PARTS = "(streams|sharing|following|pinning|balance|turns|shortlist|graphs|order)"


class EngineSettings(Section):
    """Sizes of the engine process."""

    slots: int = Field(0, ge=0, le=256)
    """Generations at once (`max_concurrent`). 0: 8 with a GPU, else 4."""

    kv_tokens: int = Field(0, ge=0, le=1 << 24)
    """Cells of all generations together, tokens (llama.cpp's `n_ctx`). On a CPU each slot has its own where there are
    slots x context, which is the default if it fits; else they share one pool, 0: slots x context / 2, never below
    context + 1,024."""

    step_tokens: int = Field(0, ge=0, le=4096)
    """Most tokens of one step (`n_batch` = `n_ubatch`). 0: 512 with a GPU, else 256."""

    step_seconds: float = Field(0.25, ge=0.005, le=10)
    """Prompts are computed in pieces, so that from one token of the running answers to the next it takes about this
    long, seconds: the pause that prompts make in everybody's stream; half as long again where that ends a prompt. Less
    makes streams smoother and long prompts slower."""

    idle_tokens: int = Field(-1, ge=-1, le=1 << 24)
    """Cells of a shared pool that finished conversations may keep for their next turn; every step reads them, so they
    are not free. -1: a quarter of the pool and at most 4,096 on a CPU, of which those beyond what this model carries
    cheaply move to main memory after a few steps; half and at most 16,384 on a GPU."""

    host_cache_mib: int = Field(-1, ge=-1, le=1 << 22)
    """Main memory for conversations that had to leave the pool; their next turn is copied back instead of computed.
    0 turns it off. -1: four times the pool, at most half of the memory that is left."""

    without: str = Field("", pattern=rf"^({_PARTS}(,{_PARTS})*)?$")
    """For measurements: parts of the engine to leave out, with commas between them: streams, sharing, following,
    pinning, balance, turns, shortlist, graphs, order."""

    threads: int = Field(0, ge=0, le=1024)
    """CPU threads. 0: the CPUs that the cgroup and the affinity mask give."""

    gpu_layers: int = Field(-1, ge=-1, le=1024)
    """Layers on the GPU; -1 is all, where there is a GPU."""

    load_timeout_seconds: float = Field(300.0, gt=0, le=7200)
    """A load that takes longer is given up, seconds. 8 GB from a slow network disk take about 100."""


class GenerationSettings(Section):
    """Defaults and bounds of one answer."""

    timeout_seconds: float = Field(120.0, gt=0, le=3600)
    """Longest generation from dispatch, seconds; then the answer ends with `finish_reason: length`."""

    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature where the caller gives none; 0 is greedy."""

    top_p: float = Field(0.9, gt=0, le=1)
    """Nucleus sampling where the caller gives none."""

    repeat_penalty: float = Field(1.08, ge=1, le=2)
    """Repetition penalty where the caller gives none; 1 is off."""


class PromptSettings(Section):
    """Prompt files."""

    dir: Path | None = None
    """Folder with `config-Llama.json` and `config-OpenAI.json` that replace the service's own."""
