import json
from html.parser import HTMLParser

import pytest
from chatbot.api.not_found import ENDPOINTS, NotFoundApp, prefers_html, render_not_found
from chatbot.api.pages.page_texts import PAGE_TEXTS
from chatbot.api.texts import LANGUAGES
from starlette.types import Message

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


class Page(HTMLParser):
    """What a page links to, loads and says."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.said = ""
        self.language = ""
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.language = values.get("lang") or self.language
        if tag == "a":
            self.links.append(values["href"] or "")
        elif tag in ("script", "link", "img", "iframe") or "src" in values:
            self.loads.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


async def ask(app: NotFoundApp, path: str, method: str = "GET", **headers: str) -> tuple[Message, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body is not read")

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    return sent[0], sent[1]["body"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/problem+json;q=0.5, text/html;q=0.9", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=nan", False),
        (";;;,=,q=", False),
    ],
)
def test_html_is_for_those_who_prefer_it(accept: str, expected: bool) -> None:
    assert prefers_html(accept) is expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_links_both_docs_and_lists_every_endpoint(language: str) -> None:
    media_type, body = render_not_found(BROWSER, language)

    page = Page(body)

    assert media_type == "text/html; charset=utf-8"
    assert page.language == language
    assert page.links == ["/office/docs", "/character/docs"]
    for prefix in ("/office", "/character"):
        for _method, path, _key in ENDPOINTS:
            assert f"{prefix}{path}" in page.said
    assert page.loads == []
    assert "$" not in page.said


def test_json_lists_the_same() -> None:
    media_type, body = render_not_found("*/*", "en", request_id="r-1")

    told = json.loads(body)

    assert media_type == "application/problem+json"
    assert (told["status"], told["code"], told["request_id"]) == (404, "not_found", "r-1")
    assert told["docs"] == ["/office/docs", "/character/docs"]
    assert "DELETE /character/conversations/{db_id}" in told["endpoints"]
    assert len(told["endpoints"]) == 2 * len(ENDPOINTS)


@pytest.mark.parametrize(
    ("root_path", "service", "docs"),
    [
        ("", "", ["/office/docs", "/character/docs"]),
        ("/office", "office", ["/office/docs", "/character/docs"]),
        ("/ai/character", "character", ["/ai/office/docs", "/ai/character/docs"]),
        ("", "office", ["/docs"]),
        ("/chat", "character", ["/chat/docs"]),
    ],
)
def test_links_lead_somewhere_wherever_the_page_is_shown(root_path: str, service: str, docs: list[str]) -> None:
    _, body = render_not_found("*/*", "ko", root_path, service=service)

    assert json.loads(body)["docs"] == docs


async def test_path_is_never_repeated() -> None:
    for accept in (BROWSER, "*/*"):
        start, body = await ask(NotFoundApp(), "/<script>alert(1)</script>canary", accept=accept)

        assert start["status"] == 404
        assert b"canary" not in body
        assert b"canary" not in b"".join(value for _, value in start["headers"])


async def test_answer_says_what_it_depends_on() -> None:
    start, body = await ask(NotFoundApp(), "/x", accept=BROWSER, accept_language="ja, en;q=0.5")

    headers = dict(start["headers"])
    assert headers[b"content-language"] == b"ja"
    assert headers[b"vary"] == b"Accept, Accept-Language"
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-request-id"]


async def test_head_has_no_body() -> None:
    start, body = await ask(NotFoundApp(), "/x", method="HEAD")

    assert (start["status"], body) == (404, b"")


async def test_health_is_told_only_where_it_stands_alone() -> None:
    alone, _ = await ask(NotFoundApp(health_path="/healthz"), "/healthz")
    behind, _ = await ask(NotFoundApp(), "/healthz")

    assert (alone["status"], behind["status"]) == (200, 404)


def test_every_text_is_there_in_every_language() -> None:
    assert {key: texts for key, texts in PAGE_TEXTS.items() if len(texts) != len(LANGUAGES) or not all(texts)} == {}
