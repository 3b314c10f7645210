"""The catch-all of a cluster's gateway: the branded 404 for every path that is no service's."""

import sys
from typing import Final

import uvicorn

from chatbot.api.not_found import NotFoundApp
from chatbot.server.environment import WrongEnvironment, load_settings
from chatbot.server.observe.logs import set_up_logs

DEFAULT_PORT: Final = 8080
WRONG_SETTINGS: Final = 2


def main() -> None:
    """Serve until a signal ends it; exits 2 where a setting is wrong."""
    try:
        settings = load_settings()
    except WrongEnvironment as exc:
        sys.stderr.write("".join(f"chatbot-not-found: {problem}\n" for problem in exc.problems))
        sys.exit(WRONG_SETTINGS)
    set_up_logs(settings.log.level)
    uvicorn.run(
        NotFoundApp(health_path="/healthz"),
        host=settings.http.host,
        port=settings.http.port or DEFAULT_PORT,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
