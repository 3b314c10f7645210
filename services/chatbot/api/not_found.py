"""The branded 404: a page for people, JSON for programs. It names what there is and never what was asked for.

The services, the gateway of chatbot-local and `chatbot-not-found` all answer with it.
"""

import html
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from secrets import token_hex
from string import Template
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chatbot.api.errors import describe
from chatbot.api.pages.page_texts import PAGE_TEXTS
from chatbot.api.texts import LANGUAGES, choose_language
from chatbot.domain.errors import NotFound

SERVICES: Final = ("office", "character")
ENDPOINTS: Final = (
    ("POST", "/Llama", "llama"),
    ("POST", "/OpenAI", "openai"),
    ("POST", "/chat", "chat"),
    ("POST", "/v1/chat/completions", "v1_chat"),
    ("GET", "/v1/models", "v1_models"),
    ("GET", "/conversations", "conversations"),
    ("GET", "/conversations/{db_id}", "conversation"),
    ("DELETE", "/conversations/{db_id}", "erase"),
    ("GET", "/performance", "performance"),
    ("GET", "/info", "info"),
    ("GET", "/readyz", "readyz"),
)
HTML_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The page needs nothing but its own style sheet."""
VARY: Final = "Accept, Accept-Language"

_TRY: Final = {
    "ko": "안녕하세요!",
    "en": "Hello!",
    "ja": "こんにちは！",
}


class NotFoundApp:
    """Answers every request with the 404, and `/healthz` with 200 where it stands alone (ASGI)."""

    def __init__(self, *, health_path: str | None = None) -> None:
        self._health_path = health_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the body, if any, is not read."""
        headers = Headers(scope=scope)
        language = choose_language(headers.get("accept-language", ""))
        request_id = token_hex(16)
        status, media_type, body = 200, "application/json", b'{"status": "ok"}'
        if scope["path"] != self._health_path:
            status = 404
            media_type, body = render_not_found(headers.get("accept", ""), language, request_id=request_id)
        told = {"Content-Type": media_type, "Content-Length": str(len(body)), "X-Request-ID": request_id}
        if status == 404:
            told |= {"Content-Language": language, "Vary": VARY, **HTML_HEADERS}
        raw = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page is shown.

    Attributes:
        outer: Path in front of every service, mostly "".
        services: The services that answer there, with the prefix of each.
    """

    outer: str
    services: tuple[tuple[str, str], ...]


def place_of(root_path: str = "", service: str = "") -> Place:
    """What can be reached from here.

    Args:
        root_path: Prefix that the gateway strips, "" without one.
        service: Name of the service that answers, "" where the gateway does.
    """
    if service and not root_path.endswith(f"/{service}"):
        return Place(root_path, ((service, root_path),))
    outer = root_path.removesuffix(f"/{service}") if service else root_path
    return Place(outer, tuple((name, f"{outer}/{name}") for name in SERVICES))


def prefers_html(accept: str) -> bool:
    """Whether a person is likely to read the answer (RFC 9110, 12.5.1); JSON where both are equally welcome."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for item in accept[:1000].split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        name = "application/json" if media_type == "application/problem+json" else media_type
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return weights["text/html"] > weights["application/json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def render_not_found(
    accept: str, language: str, root_path: str = "", *, service: str = "", request_id: str = ""
) -> tuple[str, bytes]:
    """The 404 as the caller wants it.

    Args:
        accept: The `Accept` header.
        language: One of `chatbot.api.texts.LANGUAGES`.
        root_path: Prefix that the gateway strips.
        service: Name of the service that answers; "" for the gateway.
        request_id: For the JSON form.

    Returns:
        Media type and body. Send HTML with `HTML_HEADERS`, both with `Vary: VARY` and `Content-Language`.
    """
    place = place_of(root_path, service)
    if prefers_html(accept):
        return "text/html; charset=utf-8", _page(place, language).encode()
    return "application/problem+json", json.dumps(_problem(place, language, request_id), ensure_ascii=False).encode()


def _problem(place: Place, language: str, request_id: str) -> dict[str, Any]:
    endpoints = [f"{method} {prefix}{path}" for _, prefix in place.services for method, path, _ in ENDPOINTS]
    docs = [f"{prefix}/docs" for _, prefix in place.services]
    return {
        **describe(NotFound(), language, request_id),
        "detail": _text("not_found.detail", language),
        "endpoints": endpoints,
        "docs": docs,
    }


def _page(place: Place, language: str) -> str:
    _, first_prefix = place.services[0]
    return Template(_template("not_found.html")).substitute(
        language=language,
        title=_text("not_found.title", language),
        detail=_text("not_found.detail", language),
        cards="".join(_card(name, prefix, language) for name, prefix in place.services),
        card_count=len(place.services),
        try_it=_text("try", language),
        try_path=html.escape(f"{first_prefix}/Llama"),
        try_text=_TRY[language],
        extra='"user_id": "me"' if place.services[0][0] == "office" else '"character_name": "Mina", "user_id": "me"',
    )


def _card(name: str, prefix: str, language: str) -> str:
    rows = "".join(_row(prefix, *endpoint, language) for endpoint in ENDPOINTS)
    docs = html.escape(f"{prefix}/docs")
    return (
        f'<section class="card {name}"><h2>{_text(f"{name}.name", language)}</h2>'
        f"<p>{_text(f'{name}.about', language)}</p><ul>{rows}</ul>"
        f'<a class="docs" href="{docs}">{_text("docs", language)}<code>{docs}</code></a></section>'
    )


def _row(prefix: str, method: str, path: str, key: str, language: str) -> str:
    shown = path.replace("{", "<wbr>{")  # a narrow screen breaks the line there
    return (
        f'<li><span class="m {method.lower()}">{method}</span><code>{html.escape(prefix)}<b>{shown}</b></code>'
        f"<small>{_text(f'endpoint.{key}', language)}</small></li>"
    )


def _text(key: str, language: str) -> str:
    return PAGE_TEXTS[f"page.{key}"][LANGUAGES.index(language)]


@cache
def _template(name: str) -> str:
    return resources.files("chatbot.api.pages").joinpath(name).read_text("utf-8")
