"""The entry point of one service: settings, parts, ports."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

import uvloop

from chatbot import __version__
from chatbot.api.profiles import Profile
from chatbot.core.prompt import PromptFileError
from chatbot.server.environment import WrongEnvironment, load_settings, shown
from chatbot.server.observe.logs import set_up_logs
from chatbot.server.serving.serve import DrainPolicy, Listener, bind, serve
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.internal import open_internal
from chatbot.server.wiring.engine import model_source
from chatbot.server.wiring.service import open_service
from chatbot.server.wiring.shared import idle, open_shared, running

_LOG = logging.getLogger(__name__)
WRONG_SETTINGS = 2
"""Exit code where a setting, a file that it names or a port cannot be used."""


def main(profile: Profile, arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal ends it; exits 0 after a drain, 2 where a setting is wrong."""
    parser = argparse.ArgumentParser(prog=f"chatbot-{profile.name}", description=profile.description)
    parser.add_argument("--show-settings", action="store_true", help="print all settings and exit")
    parser.add_argument("--version", action="version", version=__version__)
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
    except WrongEnvironment as exc:
        sys.exit(_complain(exc.problems))
    if chosen.show_settings:
        sys.stdout.write(shown(settings) + "\n")
        return
    set_up_logs(settings.log.level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_one(profile, settings))
    except (PromptFileError, ValueError, OSError) as exc:
        sys.exit(_complain([str(exc)]))


async def serve_one(profile: Profile, settings: Settings) -> None:
    """Serve one service on its port, and the internal port beside it, until a signal.

    Raises:
        PromptFileError, ValueError, OSError: A setting names something that cannot be used.
    """
    shared = open_shared(settings, [profile])
    if shared.keys.is_open:
        _LOG.warning(
            "no CHATBOT_AUTH_KEYS_FILE, _PEPPER_FILE, _JWT_ISSUER or _GATEWAY_PEERS: "
            "whoever reaches this port may ask, as any user"
        )
    app, answerer = open_service(profile, shared, settings.http.root_path)
    listeners = [
        Listener(app, bind(settings.http.host, settings.http.port or profile.default_port)),
        Listener(open_internal(settings, shared), bind(settings.metrics.host, settings.metrics.port)),
    ]
    drain = DrainPolicy(settings.drain_seconds)
    async with running(shared, model_source(settings)):
        await serve(listeners, shared.gate, lambda: idle(shared, [answerer]), drain)


def _complain(problems: Sequence[str]) -> int:
    for problem in problems:
        sys.stderr.write(f"chatbot: {problem}\n")
    return WRONG_SETTINGS
