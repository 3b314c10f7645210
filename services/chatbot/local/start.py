"""The entry point: gateway, both services, one engine and SQLite in one process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from chatbot import __version__
from chatbot.api.not_found import NotFoundApp
from chatbot.character import CHARACTER
from chatbot.core.prompt import PromptFileError
from chatbot.llm.model_source import FixedModel
from chatbot.local import ports
from chatbot.local.arguments import Choice, parse
from chatbot.local.guide import Guide, StartFailed
from chatbot.local.model_choice import NoModel, choose
from chatbot.local.questions import language_of
from chatbot.local.terminal import Terminal, size
from chatbot.office import OFFICE
from chatbot.server.environment import WrongEnvironment, load_settings, shown
from chatbot.server.gateway import Gateway
from chatbot.server.observe.logs import set_up_logs
from chatbot.server.serving.serve import DrainPolicy, Listener, serve
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.internal import open_internal
from chatbot.server.wiring.service import open_service
from chatbot.server.wiring.shared import Shared, idle, open_shared, running

FAILED: Final = 1
_PROFILES: Final = (OFFICE, CHARACTER)
_EXPECTED = (NoModel, StartFailed, ports.PortTaken, PromptFileError, ValueError, OSError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal; exits 0 after a drain, 1 with a sentence where it cannot start."""
    choice, terminal = parse(arguments), Terminal(sys.stdout)
    try:
        settings = load_settings()
        if choice.show_settings:
            terminal.say(shown(settings))
            return
        with ports.take(settings, choice) as taken:
            _start(settings, choice, taken, terminal)
    except WrongEnvironment as exc:
        sys.exit(_complaint("\n".join(exc.problems)))
    except _EXPECTED as exc:
        sys.exit(_complaint(str(exc)))


def _start(settings: Settings, choice: Choice, taken: ports.Ports, terminal: Terminal) -> None:
    terminal.say(f"ChatBot AI for Kubernetes {__version__}\n")
    path = choose(choice.model or str(settings.model.path or ""), choice.sha256, terminal)
    log = settings.history.sqlite_path.with_name("chatbot-local.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        set_up_logs(settings.log.level, stream)
        _introduce(terminal, settings, path, log)
        runner.run(_serve(settings, path, taken, check=choice.check, terminal=terminal))


async def _serve(settings: Settings, path: Path, taken: ports.Ports, *, check: bool, terminal: Terminal) -> None:
    shared = open_shared(settings, _PROFILES, may_start_programs=True)
    services = {profile.name: open_service(profile, shared, root_path="") for profile in _PROFILES}
    answerers = [answerer for _, answerer in services.values()]
    gateway = Gateway({name: app for name, (app, _) in services.items()}, NotFoundApp())
    listeners = [Listener(gateway, taken.gateway), Listener(open_internal(settings, shared), taken.internal)]
    drain = DrainPolicy(settings.drain_seconds)
    guide = Guide(
        shared.engine.host,
        terminal,
        gateway=ports.address(taken.gateway),
        internal=ports.address(taken.internal),
        language=language_of(os.environ),
    )
    async with running(shared, FixedModel(path)):
        serving = asyncio.create_task(serve(listeners, shared.gate, lambda: idle(shared, answerers), drain))
        try:
            await _lead(guide, shared, check=check, terminal=terminal)
        finally:
            shared.gate.close()
            await serving


async def _lead(guide: Guide, shared: Shared, *, check: bool, terminal: Terminal) -> None:
    """Show the start, then wait for the signal that ends it, which may come first.

    Raises:
        StartFailed: What the guide found.
    """
    showing = asyncio.create_task(guide.run())
    stopping = asyncio.create_task(shared.gate.closed())
    try:
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()
        if not check:
            if showing.done():
                guide.hint()
            await stopping
            terminal.say("\nStopping: what runs and waits is answered first. Ctrl-C again ends at once.")
    finally:
        for task in (showing, stopping):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({showing, stopping})


def _introduce(terminal: Terminal, settings: Settings, path: Path, log: Path) -> None:
    names = {"sqlite": str(settings.history.sqlite_path), "mongodb": "MongoDB", "redis": "Redis"}
    history = names[settings.history.store]
    terminal.say(f"  model    {path} ({size(path.stat().st_size)})\n  history  {history}\n  log      {log}\n")


def _complaint(problems: str) -> int:
    sys.stdout.flush()
    sys.stderr.write("".join(f"chatbot-local: {problem}\n" for problem in problems.splitlines()))
    return FAILED
