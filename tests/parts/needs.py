"""What a test needs from the machine: left out where it is missing, a failure where nothing may be left out."""

import os
import shutil

import pytest


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


def left_out(reason: str) -> None:
    """Leave this test out with one plain line; under `CI=true` nothing may be left out, so it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(reason)
