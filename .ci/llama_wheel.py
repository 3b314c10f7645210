"""Builds the wheel of llama-cpp-python once per inputs, outside the tree, and prints the folder that holds it.

uv keeps built wheels too, but only while the registry's caching headers last; compiling takes minutes, so it has a
home of its own: ~/.cache/chatbot-build/<hash of inputs>/. The inputs are the locked sdist, the build variables of
pyproject.toml, and the machine's architecture and libc. Run by the Python of .tools, which has pip; with --where it
only says where, and any Python will do.
"""

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "llama-cpp-python"


def main() -> None:
    """Build the wheel where no cached one fits, and print its folder."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package = next(each for each in lock["package"] if each["name"] == NAME)
    variables = project["tool"]["uv"]["extra-build-variables"][NAME]
    inputs = [package["version"], package["sdist"]["hash"], variables, platform.machine(), platform.libc_ver()]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "chatbot-build" / key
    if "--where" in sys.argv:
        print(folder)  # noqa: T201 - this is the script's answer
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two builds at once would only slow each other
        if not list(folder.glob("*.whl")):
            _build(folder, package, variables)
    print(folder)  # noqa: T201 - this is the script's answer


def _build(folder: Path, package: dict[str, object], variables: dict[str, str]) -> None:
    print("compiling llama.cpp, once: 4-8 CPU minutes", file=sys.stderr)  # noqa: T201 - for whoever waits
    requirement = folder / "requirement.txt"
    sdist = package["sdist"]
    digest = sdist["hash"] if isinstance(sdist, dict) else ""
    requirement.write_text(f"{NAME}=={package['version']} --hash={digest}\n")
    built = folder / "new"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-binary", NAME, "--require-hashes"]
    subprocess.run(  # noqa: S603 - every word of the command comes from the two files named above
        [*pip, "--wheel-dir", str(built), "--requirement", str(requirement)],
        env={**os.environ, **variables},
        stdout=sys.stderr,
        check=True,
    )
    for wheel in built.glob("*.whl"):
        wheel.rename(folder / wheel.name)


if __name__ == "__main__":
    main()
