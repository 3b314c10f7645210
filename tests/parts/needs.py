"""What a test needs from the machine: left out where it is missing, a failure where nothing may be left out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FETCH_SECONDS = 600


def need(tool: str, how: str) -> str:
    """Find a program, or leave the test out.

    Args:
        tool: Name of the program.
        how: How a person gets it, as a command.

    Returns:
        Its path.
    """
    path = shutil.which(tool)
    if path is None:
        left_out(f"{tool} is missing; get it: {how}")
    return str(path)


def fetched(script: str, *arguments: str, by_builder: bool = False) -> Path:
    """What a script of `.ci` keeps outside the tree and prints the path of; where it cannot, the test is left out.

    Args:
        script: Its name.
        arguments: Of its command line.
        by_builder: Whether the Python of `.tools` runs it, which has pip.
    """
    builders = sorted(ROOT.glob(".tools/uv-*/bin/python")) if by_builder else []
    command = [str(builders[-1]) if builders else sys.executable, str(ROOT / ".ci" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    if done.returncode:
        get = " ".join(word for word in command if word != "--cached")
        left_out(f"{script} gave nothing: {done.stderr.strip()[-300:]}; get it: {get}")
    return Path(done.stdout.strip())


def left_out(reason: str) -> None:
    """Leave this test out with one plain line; under `CI=true` nothing may be left out, so it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(reason)
