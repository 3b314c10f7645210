"""A web address as text: what is taken of it, before anybody connects."""

import re
from typing import Final

import httpx2

from chatbot.adapters.web.guard import WebRefused

MAX_CHARACTERS: Final = 2_000
PORTS: Final = {"http": 80, "https": 443}
_ODD: Final = re.compile(r"[\x00-\x20\x7f\\]")  # readers disagree about these; none of a real address has them
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")


def checked_url(text: str, trusted: frozenset[tuple[str, int]] = frozenset()) -> httpx2.URL:
    """An address that may be asked: http or https, no credentials, the scheme's own port.

    Args:
        text: As somebody wrote it, absolute.
        trusted: Hosts with ports that the operator named; they may have any port.

    Raises:
        WebRefused: `url`.
    """
    if len(text) > MAX_CHARACTERS or _ODD.search(text):
        raise WebRefused("url")
    try:
        url = httpx2.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise WebRefused("url") from None
    port = PORTS.get(url.scheme, 0) if url.port is None else url.port
    bracketed = f"[{host}]" if ":" in host else host
    is_ours = (host, port) in trusted
    if url.scheme not in PORTS or url.userinfo or not _HOST.fullmatch(bracketed):
        raise WebRefused("url")
    if not is_ours and port != PORTS[url.scheme]:
        raise WebRefused("url")
    return url


def joined_url(base: httpx2.URL, location: str) -> str:
    """Where a redirect leads.

    Raises:
        WebRefused: `url`.
    """
    if len(location) > MAX_CHARACTERS or _ODD.search(location):
        raise WebRefused("url")
    try:
        return str(base.join(location))
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise WebRefused("url") from None
