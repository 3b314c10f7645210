"""Whose files and stores a request is about, and the shelves that have them."""

from fastapi import Request

from chatbot.api.accounts.users import bound_user, caller_of
from chatbot.api.conversations import USER_HEADER, caller_of_header
from chatbot.api.service import parts_of
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.chat import Caller
from chatbot.domain.errors import DocumentsOff

SHARED_USER = "@shared"
"""Whose things are those of a tenant's keys that name no user: clients of the OpenAI API know none."""


def owner_of(request: Request) -> Caller:
    """The user of `X-User-ID`, the one whom the key is bound to, or all keys of the tenant together.

    Raises:
        InvalidInput: The header is wrong.
        UserMismatch: The key speaks for another user.
    """
    if USER_HEADER in request.headers or bound_user(request) is not None:
        return caller_of_header(request)
    return caller_of(request, SHARED_USER)


def shelves_of(request: Request) -> Shelves:
    """The shelves of the service.

    Raises:
        DocumentsOff: It has none.
    """
    shelves = parts_of(request).shelves
    if shelves is None:
        raise DocumentsOff
    return shelves
