"""Whom the gateway in front names as the user of a request, where it is believed."""

from dataclasses import replace

from fastapi import Request

from chatbot.api.schemas import MAX_USER_ID_CHARACTERS
from chatbot.domain.access import GatewayTrust, Principal
from chatbot.domain.errors import GatewayUserInvalid, UserMismatch


def vouched_user(request: Request, gateway: GatewayTrust | None) -> str | None:
    """The user whom the gateway names; None where no gateway is believed, or it names nobody.

    The other end of the connection is who is believed, never an address that a header tells. Two headers, or a list in
    one (RFC 9110, 5.3), say that somebody else wrote a part of it.

    Raises:
        GatewayUserInvalid: The gateway is believed, and what it says is no user.
    """
    if gateway is None or request.client is None or not gateway.believes(request.client.host):
        return None
    named = request.headers.getlist(gateway.header)
    if not named:
        return None
    if len(named) != 1 or not _is_user(named[0]):
        raise GatewayUserInvalid(gateway.header)
    return named[0]


def bound_by(principal: Principal, user: str | None, gateway: GatewayTrust | None) -> Principal:
    """The principal, speaking for the user whom the gateway names and for no other.

    Raises:
        UserMismatch: The key speaks for another one.
    """
    if user is None or gateway is None:
        return principal
    if principal.rights.user not in (None, user):
        raise UserMismatch(gateway.header)
    return replace(principal, rights=replace(principal.rights, user=user))


def _is_user(text: str) -> bool:
    """Bytes beyond ASCII have no encoding in a header (RFC 9110, 5.5), so nobody knows whom they name."""
    return 1 <= len(text) <= MAX_USER_ID_CHARACTERS and text.isascii() and text.isprintable() and "," not in text
