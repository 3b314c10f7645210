"""What `helm test` asks: does it chat, stream, list its models, answer what is not there, and refuse honestly?

Run in a pod of the services' own image, and by this project's tests against real services. Standard library only.
"""

import argparse
import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MOST_REQUESTS = 64
"""More are not sent at once to see a 429: where the line holds more, that check is left out and says so."""


class Wrong(Exception):
    """A check failed; the message says what was expected."""


class LeftOut(Exception):
    """A check could not be made; the message says why."""


@dataclass(frozen=True)
class Service:
    """Where one service is.

    Attributes:
        base: `http://host:port`, with a path where a gateway is asked.
        key: API key, "" where none is needed.
        timeout_seconds: Longest wait for one answer.
    """

    base: str
    key: str = ""
    timeout_seconds: float = 240.0

    def open(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        """Send a request and return as soon as the status line is there."""
        parts = urlsplit(self.base)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout_seconds)
        sent = {"Content-Type": "application/json", "Accept-Language": "en"} | headers
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path.rstrip("/") + path, payload, sent)
        return connection.getresponse()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Send a request and read the whole answer."""
        response = self.open(method, path, body, **headers)
        return response.status, response.read()


def question(name: str) -> dict[str, str]:
    """The smallest valid question of a service."""
    asked = {"input_data": "1+1=", "user_id": "helm-test"}
    persona = {"character_name": "Tester", "greeting": "Hello!", "context": "A patient tester."}
    return asked | (persona if name == "character" else {})


def health(service: Service) -> str:
    """`/healthz` and `/readyz` answer 200."""
    for path in ("/healthz", "/readyz"):
        _require(service.ask("GET", path)[0] == 200, f"{path} answers 200")
    return "alive and ready"


def models(service: Service) -> str:
    """`/v1/models` lists a model."""
    status, body = service.ask("GET", "/v1/models")
    _require(status == 200, f"GET /v1/models answers 200, not {status}")
    listed = [model["id"] for model in json.loads(body)["data"]]
    _require(bool(listed), "/v1/models lists a model")
    return ", ".join(listed)


def whole_answer(service: Service, name: str) -> str:
    """`POST /Llama` answers with one JSON string."""
    status, body = service.ask("POST", "/Llama", question(name))
    _require(status == 200, f"POST /Llama answers 200, not {status}")
    answer = json.loads(body)
    _require(isinstance(answer, str) and bool(answer.strip()), "the answer is a JSON string with text")
    return f"{len(answer)} characters"


def streamed_answer(service: Service, name: str) -> str:
    """`POST /Llama` as a stream has text and ends with `done`."""
    response = service.open("POST", "/Llama", question(name), Accept="text/event-stream")
    _require(response.status == 200, f"the stream answers 200, not {response.status}")
    kinds = [kind for kind, _ in _events(response)]
    _require("token" in kinds, "the stream has text")
    _require(kinds[-1:] == ["done"], "the stream ends with the event done")
    return f"{kinds.count('token')} pieces"


def key_is_needed(service: Service) -> str:
    """Without a key the answer is 401."""
    status, _ = Service(service.base).ask("POST", "/Llama", question("office"))
    _require(status == 401, f"without a key the answer is 401, not {status}")
    return "401 without a key"


def page_not_found(service: Service) -> str:
    """What is no service's is answered as a page for people, as JSON for programs."""
    status, page = service.ask("GET", "/there-is-nothing", Accept="text/html")
    _require(status == 404 and b"<html" in page.lower(), "an unknown path is a 404 page")
    status, body = service.ask("GET", "/there-is-nothing", Accept="application/json")
    _require(status == 404 and json.loads(body)["code"] == "not_found", "an unknown path is a 404 as JSON")
    return "404 as page and as JSON"


def refusal(service: Service, name: str) -> str:
    """More requests than slots and places lead to a 429 with the same number in `Retry-After` and body."""
    limits = json.loads(service.ask("GET", "/info")[1])["limits"]
    slots = json.loads(service.ask("GET", "/performance")[1])["max_concurrent"]
    wanted = int(limits["max_waiting"]) + int(slots) + 2
    if wanted > MOST_REQUESTS:
        raise LeftOut(f"it would take {wanted} requests at once; queue.maxWaiting is meant to be large")
    # A small model answers the first of them before the last has come.
    return _crowd(service, name, min(4 * wanted, MOST_REQUESTS))


def _crowd(service: Service, name: str, size: int) -> str:
    refused: list[tuple[str | None, bytes]] = []
    statuses: list[int] = []
    seen = threading.Event()

    def one() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            response = service.open("POST", "/Llama", question(name), Accept="text/event-stream")
            statuses.append(response.status)
            if response.status == 429:
                refused.append((response.headers["Retry-After"], response.read()))
                seen.set()
            seen.wait(20)  # hold the place until somebody was refused
            response.close()

    threads = [threading.Thread(target=one, daemon=True) for _ in range(size)]
    for thread in threads:
        thread.start()
    seen.wait(30)
    seen.set()
    for thread in threads:
        thread.join(30)
    if statuses == [200] * size:
        raise LeftOut(f"all of {size} requests were answered before the line was full")
    _require(bool(refused), f"one of {size} requests at once is refused with 429")
    header, body = refused[0]
    _require(header == str(json.loads(body)["retry_after"]), "Retry-After and retry_after are the same")
    return f"429, Retry-After {header}"


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    kind = ""
    for raw in response:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            kind = value
        elif field == "data":
            yield kind, value


def _require(holds: bool, expected: str) -> None:
    if not holds:
        raise Wrong(f"expected: {expected}")


def _until_ready(service: Service, deadline: float) -> None:
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if service.ask("GET", "/readyz")[0] == 200:
                return
        time.sleep(2)


def _checks(options: argparse.Namespace, key: str) -> Iterator[tuple[str, Callable[[], str]]]:
    for name, address in (pair.split("=", 1) for pair in options.service):
        service = Service(address, key, options.timeout_seconds)
        _until_ready(service, time.monotonic() + options.timeout_seconds)
        yield f"{name}: health", lambda service=service: health(service)
        if options.keys and not key:
            yield f"{name}: keys", lambda service=service: key_is_needed(service)
            continue
        yield f"{name}: models", lambda service=service: models(service)
        yield f"{name}: answer", lambda service=service, name=name: whole_answer(service, name)
        yield f"{name}: stream", lambda service=service, name=name: streamed_answer(service, name)
        yield f"{name}: refusal", lambda service=service, name=name: refusal(service, name)
    if options.not_found:
        yield "not found", lambda: page_not_found(Service(options.not_found, "", options.timeout_seconds))


def main() -> int:
    """Make every check; 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--not-found", default="", metavar="URL", help="of the 404 page, or of the gateway")
    parser.add_argument("--keys", action="store_true", help="callers need a key")
    parser.add_argument("--key-file", type=Path, help="file with a key; without it only what needs none is asked")
    parser.add_argument("--timeout-seconds", type=float, default=240.0)
    options = parser.parse_args()
    key, failed = options.key_file.read_text().strip() if options.key_file else "", 0
    for title, check in _checks(options, key):
        try:
            outcome = f"ok: {check()}"
        except LeftOut as reason:
            outcome = f"left out: {reason}"
        except (Wrong, OSError, ValueError, LookupError, http.client.HTTPException) as exc:
            outcome, failed = f"FAILED: {exc}", failed + 1
        sys.stdout.write(f"{title}: {outcome}\n")
        sys.stdout.flush()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
