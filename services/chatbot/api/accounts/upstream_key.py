"""A key of the user's own for the second backend, out of a header or a body."""

import re
from typing import Final

from fastapi import Request

from chatbot.domain.errors import InvalidInput
from chatbot.domain.outside.upstream_key import UpstreamKey

HEADER: Final = "X-Upstream-Api-Key"
PATTERN: Final = r"^[\x21-\x7e]{20,256}$"
_KEY: Final = re.compile(PATTERN)


def upstream_key_of(request: Request, in_body: str | None = None, *, may_fall_back: bool = False) -> UpstreamKey | None:
    """The key, if there is one; an empty one is none.

    Args:
        request: With the header.
        in_body: Of the field `api_key`, where a body may have it.
        may_fall_back: Whether the service's own key is used where this one is refused. Only where the answer says so.

    Raises:
        InvalidInput: It cannot be one, or there are two.
    """
    given = [(HEADER, one) for one in request.headers.getlist(HEADER)] + [("api_key", in_body or "")]
    given = [(field, text) for field, text in given if text]
    for field, text in given:
        if not _KEY.fullmatch(text):
            raise InvalidInput(field, "bad_upstream_key", minimum=20, maximum=256)
        if text != given[0][1]:
            raise InvalidInput(field, "two_upstream_keys")
    return UpstreamKey(given[0][1], may_fall_back) if given else None
