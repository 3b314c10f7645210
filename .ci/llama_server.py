"""Builds llama.cpp's own programs once per inputs, outside the tree, and prints the folder that holds them.

`llama-server`, `llama-bench` and `llama-batched-bench` are what the engine benchmark compares with. They come from the
sources inside the locked sdist of llama-cpp-python, compiled with the flags of the wheel; the folder holds the shared
libraries too, so that both sides of a comparison load the same ones (LLAMA_CPP_LIB_PATH). Run by the Python of .tools,
which has pip; CMake and Ninja are those of .venv.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from llama_source import ROOT, Locked, archive, home, locked, once

TARGETS = ("llama-server", "llama-bench", "llama-batched-bench")
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",  # the folder may be moved
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # nothing is downloaded
    "-DLLAMA_OPENSSL=OFF",
)


def main() -> None:
    """Build where no cached build fits (with `--cached`: fail instead), and print its folder."""
    source = locked()
    flags = [*FLAGS, *source.variables["CMAKE_ARGS"].split()]
    inputs = [source.version, source.digest, flags, platform.machine(), platform.libc_ver()]
    folder = home("llama-server-", inputs)
    there = (folder / "bin").exists
    if "--cached" in sys.argv and not there():
        sys.exit(f"there is no {folder / 'bin'}")
    once(folder, there, lambda: _build(folder, source, flags))
    print(folder / "bin")  # noqa: T201 - this is the script's answer


def _build(folder: Path, source: Locked, flags: list[str]) -> None:
    print("compiling llama-server, once: 9-15 CPU minutes", file=sys.stderr)  # noqa: T201 - for whoever waits
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    sources = _unpacked(work, source)
    tools = ROOT / ".venv" / "bin"
    cmake, build = str(tools / "cmake"), str(work / "build")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"]
    _run([cmake, "-S", str(sources), "-B", build, *generator, *flags])
    _run([cmake, "--build", build, "--parallel", str(len(os.sched_getaffinity(0))), "--target", *TARGETS])
    about = {"llama_cpp_python": source.version, "sdist": source.digest, "flags": flags, "machine": platform.machine()}
    (work / "build" / "bin" / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    (work / "build" / "bin").rename(folder / "bin")
    shutil.rmtree(work)


def _unpacked(work: Path, source: Locked) -> Path:
    with tarfile.open(archive(source, work)) as packed:
        packed.extractall(work, filter="data")
    shutil.copytree(next(work.glob("*/examples/server")), work / "build" / "bin" / "examples-server")
    return next(work.glob("*/vendor/llama.cpp"))


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=sys.stderr, check=True)  # noqa: S603 - made of the locked inputs above


if __name__ == "__main__":
    main()
