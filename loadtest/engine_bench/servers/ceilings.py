"""What the libraries alone can do, without HTTP and without us: `llama-bench` and `llama-batched-bench`."""

import json
import subprocess
from pathlib import Path

from engine_bench.servers.contestants import Place

_SECONDS = 600


def ceilings(place: Place) -> list[str]:
    """A line for each; prompt tokens and answer tokens per second."""
    return [*_single(place), *_batched(place)]


def _single(place: Place) -> list[str]:
    words = ["-m", str(place.model), "-t", str(place.threads), "-p", "512", "-n", "64", "-r", "3", "-fa", "1"]
    found = json.loads(_said(place.programs / "llama-bench", *words, "-o", "json"))
    names = {True: "reads 512 tokens at", False: "one row at"}
    return [f"llama-bench {names[row['n_prompt'] > 0]} {row['avg_ts']:.1f} tokens/s" for row in found]


def _batched(place: Place) -> list[str]:
    words = ["-m", str(place.model), "-t", str(place.threads), "-c", "8192", "-npp", "128", "-ntg", "64", "-fa", "on"]
    said = _said(place.programs / "llama-batched-bench", *words, "-npl", "1,8,32", "--output-format", "jsonl")
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [f"llama-batched-bench {row['pl']} rows at {row['speed_tg']:.1f} tokens/s" for row in rows]


def _said(program: Path, *words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=_SECONDS)  # noqa: S603
    return done.stdout
