"""A file's header, looked at by a process of its own before anything that serves is ended for the file."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from chatbot.domain.model import ModelReason
from chatbot.llm.supervision.model_file import Fault

INSPECTION_COMMAND = (sys.executable, "-P", "-m", "chatbot.llm.engine.inspection")
"""How a header is inspected; the file's path is appended."""
INSPECTION_SECONDS = 60.0
"""A header of a few MiB from a slow network disk takes a second or two."""

_log = logging.getLogger(__name__)


async def fault_in_header(
    path: Path, command: Sequence[str] = INSPECTION_COMMAND, seconds: float = INSPECTION_SECONDS
) -> Fault | None:
    """What a file's header and length tell to be wrong.

    An inspection that fails, dies or takes too long says nothing: the load itself will tell.

    Args:
        path: The file.
        command: Of the inspecting process; an empty one inspects nothing.
        seconds: Longest time it may take; it is killed then.
    """
    if not command:
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        _log.warning("no process to inspect the model's header: %s", exc.strerror)
        return None
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        _log.warning("the inspection of the model's header took more than %.0f s and was given up", seconds)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return _fault(said)


def _fault(said: bytes) -> Fault | None:
    try:
        told = json.loads(said)
        return Fault(ModelReason(told["reason"]), str(told["message"]))
    except (ValueError, KeyError, TypeError):
        return None
