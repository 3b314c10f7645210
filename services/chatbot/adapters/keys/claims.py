"""What every JSON Web Token is held to, whoever signed it (RFC 7519, RFC 8725)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from chatbot.domain.access import CLOCK_SKEW_SECONDS

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Asymmetric ones alone: neither `none` nor a public key taken for a shared secret can be asked for."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_MAX_USER: Final = 128


class WrongToken(ValueError):
    """It says nothing that may be believed."""


def header_of(token: str) -> Mapping[str, Any]:
    """The header, which nobody has signed yet; addresses and keys in it (`jku`, `x5u`, `jwk`) are never used.

    Raises:
        WrongToken: There is none, or it asks for no algorithm of ours.
    """
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise WrongToken from None
    if header.get("alg") not in ALGORITHMS:
        raise WrongToken
    return header


def claims_of(
    token: str,
    key: jwt.PyJWK | PublicKey,
    algorithm: str,
    *,
    required: Sequence[str],
    issuer: str | None = None,
    audience: str,
) -> Mapping[str, Any]:
    """The claims of a token that a key has signed. Times are judged by `holds_at`: by our clock, which tests move.

    Raises:
        WrongToken: It is not signed so, not of the issuer, not for the audience, or a claim is missing.
    """
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={"require": list(required), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise WrongToken from None
    return claims


def holds_at(claims: Mapping[str, Any], now: float) -> bool:
    """Whether a token has begun and not ended (`nbf`, `exp`), to a minute."""
    ends, begins = claims["exp"], claims.get("nbf", 0)
    if not is_moment(ends) or not is_moment(begins):
        return False
    return bool(begins - CLOCK_SKEW_SECONDS <= now < ends + CLOCK_SKEW_SECONDS)


def is_moment(value: object) -> bool:
    """Whether a claim is a time, Unix seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def is_user(value: object) -> bool:
    """Whether a claim is a user's id, as requests have it."""
    return isinstance(value, str) and 1 <= len(value) <= _MAX_USER and value.isprintable()
