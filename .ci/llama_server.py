"""Builds llama.cpp's own programs once per inputs, outside the tree, and prints the folder that holds them.

`llama-server`, `llama-bench` and `llama-batched-bench` are what the engine benchmark compares with. They come from the
sources inside the locked sdist of llama-cpp-python, compiled with the flags of the wheel; the folder holds the shared
libraries too, so that both sides of a comparison load the same ones (LLAMA_CPP_LIB_PATH). Run by the Python of .tools,
which has pip; CMake and Ninja are those of .venv.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from llama_wheel import NAME, ROOT

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
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package = next(each for each in lock["package"] if each["name"] == NAME)
    flags = [*FLAGS, *project["tool"]["uv"]["extra-build-variables"][NAME]["CMAKE_ARGS"].split()]
    inputs = [package["version"], package["sdist"]["hash"], flags, platform.machine(), platform.libc_ver()]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "chatbot-build" / f"llama-server-{key}"
    if "--cached" in sys.argv and not (folder / "bin").exists():
        sys.exit(f"there is no {folder / 'bin'}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two builds at once would only slow each other
        if not (folder / "bin").exists():
            _build(folder, package["version"], package["sdist"]["hash"], flags)
    print(folder / "bin")  # noqa: T201 - this is the script's answer


def _build(folder: Path, version: str, digest: str, flags: list[str]) -> None:
    print("compiling llama-server, once: 9-15 CPU minutes", file=sys.stderr)  # noqa: T201 - for whoever waits
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    source = _unpacked(work, version, digest)
    tools = ROOT / ".venv" / "bin"
    cmake, build = str(tools / "cmake"), str(work / "build")
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"]
    _run([cmake, "-S", str(source), "-B", build, *generator, *flags])
    _run([cmake, "--build", build, "--parallel", str(len(os.sched_getaffinity(0))), "--target", *TARGETS])
    about = {"llama_cpp_python": version, "sdist": digest, "flags": flags, "machine": platform.machine()}
    (work / "build" / "bin" / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    (work / "build" / "bin").rename(folder / "bin")
    shutil.rmtree(work)


def _unpacked(work: Path, version: str, digest: str) -> Path:
    requirement = work / "requirement.txt"
    requirement.write_text(f"{NAME}=={version} --hash={digest}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", NAME, "--require-hashes"]
    _run([*pip, "--dest", str(work), "--requirement", str(requirement)])
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(work, filter="data")
    shutil.copytree(next(work.glob("*/examples/server")), work / "build" / "bin" / "examples-server")
    return next(work.glob("*/vendor/llama.cpp"))


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=sys.stderr, check=True)  # noqa: S603 - made of the locked inputs above


if __name__ == "__main__":
    main()
