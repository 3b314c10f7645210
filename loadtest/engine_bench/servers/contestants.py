"""Who takes part, and the command line of each. All get the same file, threads, slots and KV pool."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from engine_bench.load.client import MODEL
from engine_bench.servers.process import Command

OURS: Final = "ours"
OURS_AGAIN: Final = "ours again"
SERIAL: Final = "serial"
EXAMPLE: Final = "example server"
STEP_TOKENS: Final = 256
"""Our default budget of a step on a CPU; the tuned llama-server gets the same (`-b`, `-ub`)."""
LLAMA_SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "llama-server a": ("--no-kv-unified",),
    "llama-server b": ("--kv-unified",),
    "llama-server c": ("--kv-unified", "--no-cache-idle-slots"),
    "llama-server e": ("--no-kv-unified", "-fa", "off"),  # the last one of a flag counts
}
OURS_IN: Final[Mapping[str, tuple[str, ...]]] = {"W5": ("CHATBOT_QUEUE_TIMEOUT_SECONDS=9",)}
"""What our service is told for a load, as who operates it would: an answer of W5 that begins after 10 s is late."""
TUNED: Final = "llama-server d"
_TUNED_FLAGS: Final = ("-b", str(STEP_TOKENS), "-ub", str(STEP_TOKENS))


@dataclass(frozen=True, slots=True)
class Place:
    """Where and with what a contestant runs.

    Attributes:
        model: The GGUF file.
        programs: Folder of llama-server and the shared libraries that both sides load.
        threads: Of llama.cpp.
        slots: Requests at once.
        slot_tokens: Longest request; the pool holds `slots` times as many.
    """

    model: Path
    programs: Path
    threads: int
    slots: int = 8
    slot_tokens: int = 2048

    @property
    def kv_tokens(self) -> int:
        """KV pool, tokens; a multiple of 256 for each slot, so that no side rounds it."""
        return self.slots * -(-self.slot_tokens // 256) * 256

    def sized(self, slots: int, slot_tokens: int) -> "Place":
        """The same place for another workload."""
        return replace(self, slots=slots, slot_tokens=slot_tokens)


def command_of(name: str, place: Place, tuned_base: str = "llama-server a") -> Command:
    """How a contestant is started.

    Args:
        name: One of this module's names; ours may be followed by settings (`ours CHATBOT_ENGINE_STEP_TOKENS=512`).
        place: Where.
        tuned_base: Of which configuration `TUNED` is the tuned one.
    """
    if name.startswith(OURS):
        return _ours(place, dict(word.split("=", 1) for word in name.split() if "=" in word))
    if name == SERIAL:
        return _serial(place)
    if name == EXAMPLE:
        return _example(place)
    flags = (*LLAMA_SERVERS[tuned_base], *_TUNED_FLAGS) if name == TUNED else LLAMA_SERVERS[name]
    return _llama_server(place, flags)


def _llama_server(place: Place, flags: tuple[str, ...]) -> Command:
    return Command(
        (
            *(str(place.programs / "llama-server"), "-m", str(place.model), "--alias", MODEL),
            *("-np", str(place.slots), "-c", str(place.kv_tokens), "-t", str(place.threads), "-fa", "on"),
            *flags,
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        {},
    )


def _ours(place: Place, settings: dict[str, str]) -> Command:
    return Command(
        (sys.executable, "-c", "from chatbot.office import main; main()"),
        _libraries(place)
        | {
            "CHATBOT_HTTP_HOST": "127.0.0.1",
            "CHATBOT_HTTP_PORT": "{port}",
            "CHATBOT_METRICS_HOST": "127.0.0.1",
            "CHATBOT_METRICS_PORT": "{other_port}",
            "CHATBOT_MODEL_PATH": str(place.model),
            "CHATBOT_MODEL_NAME": MODEL,
            "CHATBOT_MODEL_CONTEXT_TOKENS": str(-(-place.slot_tokens // 256) * 256),
            "CHATBOT_ENGINE_SLOTS": str(place.slots),
            "CHATBOT_ENGINE_KV_TOKENS": str(place.kv_tokens),
            "CHATBOT_ENGINE_THREADS": str(place.threads),
            "CHATBOT_HISTORY_SQLITE_PATH": "{folder}/history.sqlite3",
            "CHATBOT_LOG_LEVEL": "warning",
            "CHATBOT_GENERATION_TIMEOUT_SECONDS": "3600",  # nobody else has one
            **settings,
        },
    )


def _serial(place: Place) -> Command:
    words = (sys.executable, "-m", "engine_bench.servers.serial", str(place.model), "{port}")
    sizes = (str(place.slot_tokens), str(place.threads))
    return Command((*words, *sizes), _libraries(place) | {"PYTHONPATH": os.pathsep.join(sys.path)})


def _example(place: Place) -> Command:
    config = {
        "server": {"host": "127.0.0.1", "port": "{port}"},
        "model": {
            "path": str(place.model),
            "alias": MODEL,
            "n_ctx": place.kv_tokens,
            "n_seq_max": place.slots,
            "threads": place.threads,
            "threads_batch": place.threads,
            "n_batch": 512,
            "n_ubatch": 512,
            "kv_unified": True,
            "store_logits": False,
            "flash_attn": True,
        },
    }
    script = str(place.programs / "examples-server" / "server.py")
    # It imports the picture half of the binding too, which has a variable of its own.
    environment = _libraries(place) | {"MTMD_CPP_LIB": str(place.programs)}
    words = (sys.executable, script, "-C", "{folder}/config.json")
    return Command(words, environment, json.dumps(config), tells_counts=False)


def _libraries(place: Place) -> dict[str, str]:
    return {"LLAMA_CPP_LIB_PATH": str(place.programs)}
