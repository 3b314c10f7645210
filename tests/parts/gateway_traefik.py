"""Traefik with its ingress-nginx and its Gateway API provider, against a real API server.

Built from tests/tools/traefik, whose go.mod says what differs from a stock build.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parts.helm import go_tool
from parts.kube_client import Login

CONTROLLER = "chatbot.test/gateways"
"""Not ingress-nginx's own, lest a real one in the cluster takes the tests' Ingresses for its own."""


def traefik() -> str:
    """The program; built where none is cached, which takes 11 CPU minutes."""
    return go_tool("traefik")


@contextmanager
def running_traefik(
    folder: Path, program: str, login: Login, namespace: str, ports: tuple[int, int]
) -> Iterator[Callable[[], str]]:
    """Start one that looks after a namespace; what it said so far is yielded.

    Args:
        folder: For token and log; made.
        program: As `traefik` gives it.
        login: A token, and the certificate of the API server.
        namespace: Whose objects it looks after.
        ports: Of loopback, for Ingresses and for the Gateway's listener.
    """
    folder.mkdir()
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(login.token)
    ingress, gateway = ports
    connection = {"endpoint": login.server, "token": str(token), "certauthfilepath": login.ca_file}
    options = {
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
        "log.level": "INFO",
        "entrypoints.ingress.address": f"127.0.0.1:{ingress}",
        "entrypoints.gateway.address": f"127.0.0.1:{gateway}",
        "providers.kubernetesingressnginx": "true",
        "providers.kubernetesingressnginx.controllerclass": CONTROLLER,
        "providers.kubernetesingressnginx.httpentrypoint": "ingress",
        "providers.kubernetesingressnginx.watchnamespace": namespace,
        "providers.kubernetesgateway": "true",
        "providers.kubernetesgateway.namespaces": namespace,
        **{f"providers.kubernetesingressnginx.{name}": value for name, value in connection.items()},
        **{f"providers.kubernetesgateway.{name}": value for name, value in connection.items()},
    }
    log = folder / "traefik.log"
    with log.open("wb") as output:
        command = [program, *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        yield log.read_text
    finally:
        process.kill()
        process.wait(30)
