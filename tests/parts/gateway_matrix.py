"""What the gateway suite saw, gateway by check, and the page that tells it."""

from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/gateways.md"
COMMAND = "CHATBOT_TEST_SCALE=full CHATBOT_TEST_GATEWAYS_PAGE=1 .venv/bin/pytest tests/cluster/test_gateways.py"
TITLES = {
    "ingress-traefik": "Ingress, Traefik",
    "httproute-traefik": "HTTPRoute, Traefik",
    "ingress-nginx": "Ingress, nginx",
    "laptop": "`make run`",
}
CHECKS = {
    "accepted": "what the controller says of the objects",
    "routes": "every path to its service, everything else to the 404",
    "metrics": "`/metrics` and `/model`, with and without prefix",
    "case": "`/Office/healthz`",
    "double slash first": "`//office/healthz`",
    "double slash": "`/office//healthz`",
    "encoded slash": "`/office%2fhealthz`",
    "dots": "`/office/../character/healthz`",
    "encoded dots": "`/office/%2e%2e/character/healthz`",
    "docs": "docs, their files and OpenAPI's server under the prefix",
    "forged": "forged `X-Forwarded-For`, `X-Real-IP`, `Forwarded`: the service believes",
    "forged, trusted": "the same, the gateway's address in `http.trustedProxies`",
    "unbuffered": "first event there before the second is made",
    "silence": "stream with silences",
    "read timeout": "an answer that takes longer than the Ingress's read timeout (set to 2 s here)",
    "cut stream": "a stream with a longer silence than that",
    "route timeout": "`timeouts.request` of the HTTPRoute",
    "leaving": "client leaves a stream: the service stops after",
    "leaving early": "client leaves before the first byte: the service stops after",
    "not found": "404 as page and as JSON, in three languages",
    "large body": "body of 10 MB to `/v1`",
    "allowed body": "body of 4 MiB to `/v1`",
    "expect": "a body that waits for `100 Continue`",
    "service limit": "body of 200 kB to `/Llama`: the service's own 413",
    "429": "429 with `Retry-After` and its whole body",
    "request id": "`X-Request-ID` there and back",
    "methods": "HEAD, OPTIONS and a wrong method, as the service answers them",
    "websocket": "WebSocket handshake",
    "server": "headers that tell what serves",
    "openai": "the `openai` client, streaming",
    "affinity": "`userAffinity`: one user's requests go to one pod",
    "no pod": "no pod behind the Service",
    "dead pod": "a pod that is listed and does not listen",
}
"""Key -> how the page says it, in the page's order."""

_HEAD = f"""\
# Gateways

One black-box suite drives the chart's two gateway renderings and the gateway of `make run`:
[tests/cluster/test_gateways.py](../tests/cluster/test_gateways.py). This page is written by

```
{COMMAND}
```

- **Ingress, Traefik**: the chart's `Ingress` on a real API server, served by Traefik 3.7.12's provider for the
  annotations of ingress-nginx.
- **HTTPRoute, Traefik**: the chart's `HTTPRoute`, with the same Traefik as controller of the Gateway API.
- **Ingress, nginx**: nginx 1.22 with the directives that ingress-nginx's template writes from the annotations of the
  same `Ingress`, read from the same API server.
- **`make run`**: the gateway inside `chatbot-local`.

**Not a stock Traefik**: it is compiled from the published Go module, which leaves out an (empty) extension point and
needs its replacements repeated ([tests/tools/traefik](../tests/tools/traefik)). **Not ingress-nginx**: its balancer is
Lua; what it answers where no pod is ready is translated, not shown. Behind each gateway are the real services, over a
stub model.

"""
_TAIL = """
What follows from it:

- A gateway must not buffer, and must wait as long as the waiting line and the longest answer together. Both renderings
  say so; that Traefik ignores `timeouts.request` does no harm, since it has no limit of its own either.
- A question is not asked twice when the read timeout strikes: no gateway repeats a POST that it has sent.
- Believed is only the gateway's own address, until `http.trustedProxies` names its pods' network: till then all callers
  of `/v1` without key and `user` share one place in the waiting line.
- An HTTPRoute has no limit of the body's size; the services' own (128 KiB, `/v1` 4 MiB) holds.
- An Ingress with regular expressions has no regard to case, and gateways join slashes and resolve dots before they
  choose a service. Nothing is reached by that which has no plain address.
"""


@dataclass
class Matrix:
    """What was seen, by check and column."""

    cells: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, column: str, check: str, observed: str) -> None:
        """Fill a cell."""
        assert check in CHECKS, check
        self.cells.setdefault(check, {})[column] = observed

    def page(self) -> str:
        """docs/gateways.md."""
        rows = [
            f"| {said} | {' | '.join(self.cells.get(check, {}).get(name, 'not run') for name in TITLES)} |"
            for check, said in CHECKS.items()
        ]
        head = [f"| check | {' | '.join(TITLES.values())} |", f"|{'---|' * (len(TITLES) + 1)}"]
        return _HEAD + "\n".join([*head, *rows]) + "\n" + _TAIL
