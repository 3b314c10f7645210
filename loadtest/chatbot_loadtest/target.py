"""Looks at the target before the load, and says in one line what is wrong with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

_LOOK_SECONDS = 10.0


class BadTarget(Exception):
    """No load can be put on it. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that answers.

    Attributes:
        model: Name that `/v1` has for the model.
        version: Of the services.
        limits: What its figures hang on, for people: how many requests run at once and how long one may wait.
    """

    url: str
    model: str
    version: str
    limits: str


def sessions(key: str) -> Callable[[], requests.Session]:
    """Makes sessions that show an API key, where there is one."""

    def make() -> requests.Session:
        session = requests.Session()
        if key:
            session.headers["Authorization"] = f"Bearer {key}"
        return session

    return make


def look(url: str, services: Sequence[str], session: requests.Session) -> Target:
    """Ask every service who it is, and whether it lets us in.

    Raises:
        BadTarget: It is no URL, nobody answers, TLS fails, it is something else, or it wants another key.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadTarget("the URL must be http://host[:port][/prefix] or https://…, without a user in it")
    url = url.rstrip("/")
    infos = [_info(f"{url}/{service}", session) for service in services]
    states = [_let_in(f"{url}/{service}", session) for service in services]
    model, version = infos[0]["model"], infos[0]["version"]
    name = str(model["name"]) if isinstance(model, dict) else ""
    return Target(url, name, str(version), _limits(infos[0], states[0]))


def _info(url: str, session: requests.Session) -> Mapping[str, Any]:
    answer = _get(f"{url}/info", session)
    body = _object(answer)
    if "model" not in body or "version" not in body:
        raise BadTarget(
            f"{url}/info answered with status {answer.status_code} and not as a chat service does; "
            "give the gateway's address, the one before /office and /character"
        )
    return body


def _let_in(url: str, session: requests.Session) -> Mapping[str, Any]:
    answer = _get(f"{url}/performance", session)
    if answer.status_code in (401, 403):
        raise BadTarget(
            f"{url} refused the API key (status {answer.status_code}); put a valid one into CHATBOT_LOADTEST_KEY"
        )
    return _object(answer)


def _object(answer: requests.Response) -> Mapping[str, Any]:
    """The JSON object of a body; empty where it is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _limits(info: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Only numbers of it: whatever else a target says stays out of the report."""
    limits = info.get("limits")
    known = limits if isinstance(limits, dict) else {}
    parts = (
        (state.get("max_concurrent"), "{:g} at once"),
        (known.get("queue_timeout_seconds"), "longest wait {:g} s"),
        (known.get("max_waiting"), "at most {:g} waiting"),
    )
    return ", ".join(form.format(value) for value, form in parts if isinstance(value, (int, float)))


def _get(url: str, session: requests.Session) -> requests.Response:
    try:
        return session.get(url, timeout=_LOOK_SECONDS)
    except requests.exceptions.SSLError:
        raise BadTarget(
            f"{url}: TLS failed: the certificate is not trusted, or the port speaks no TLS; "
            "name the authority's file in REQUESTS_CA_BUNDLE"
        ) from None
    except requests.exceptions.Timeout:
        raise BadTarget(f"{url}: no answer within {_LOOK_SECONDS:.0f} s") from None
    except requests.exceptions.RequestException as exc:
        raise BadTarget(f"{url}: nobody answers ({type(exc).__name__}); is it running? `make run` starts one") from None
