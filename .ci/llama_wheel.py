"""Builds the wheel of llama-cpp-python once per inputs, outside the tree, and prints the folder that holds it.

uv keeps built wheels too, but only while the registry's caching headers last; compiling takes minutes, so it has a
home of its own: ~/.cache/chatbot-build/<hash of inputs>/. The inputs are the locked sdist, the build variables of
pyproject.toml, and the machine's architecture and libc. Run by the Python of .tools, which has pip; with --where it
only says where, and any Python will do.
"""

import platform
import sys
from pathlib import Path

from llama_source import Locked, home, locked, once, pip


def main() -> None:
    """Build the wheel where no cached one fits, and print its folder."""
    source = locked()
    inputs = [source.version, source.digest, source.variables, platform.machine(), platform.libc_ver()]
    folder = home("", inputs)
    if "--where" not in sys.argv:
        once(folder, lambda: list(folder.glob("*.whl")), lambda: _build(folder, source))
    print(folder)  # noqa: T201 - this is the script's answer


def _build(folder: Path, source: Locked) -> None:
    print("compiling llama.cpp, once: 4-8 CPU minutes", file=sys.stderr)  # noqa: T201 - for whoever waits
    pip(source, folder, "wheel", "--wheel-dir", str(folder / "new"), variables=source.variables)
    for wheel in (folder / "new").glob("*.whl"):
        wheel.rename(folder / wheel.name)


if __name__ == "__main__":
    main()
