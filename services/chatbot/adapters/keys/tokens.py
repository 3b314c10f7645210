"""Tokens of an issuer instead of keys: JSON Web Tokens (RFC 7519), judged as RFC 8725 advises.

The algorithms are a closed set of asymmetric ones, and each token is checked with the one algorithm of the key that its
id names: neither `none`, nor a public key taken for a shared secret, can be asked for.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from chatbot.adapters.keys.issuer_keys import IssuerKeys
from chatbot.domain.access import CLOCK_SKEW_SECONDS, KeyRecord, Principal, Rights, Scope
from chatbot.domain.errors import Unauthorized

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
KEY_ID: Final = "jwt"
"""Stands for the id of a key in logs: a token has none that is ours."""

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_KEY_ID, _MAX_USER = 200, 128
_REQUIRED: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Whose tokens, and which claims say what.

    Attributes:
        scopes: Of a token without the scope claim.
    """

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    scope_claim: str = "scope"
    scopes: frozenset[Scope] = frozenset({Scope.CHAT})


class IssuerTokens:
    """`TokenCheck` by an issuer's public keys."""

    def __init__(self, rules: TokenRules, keys: IssuerKeys, *, now: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._keys = keys
        self._now = now

    async def principal(self, token: str) -> Principal:
        """See `TokenCheck`."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized from None
        algorithm, key_id = header.get("alg"), header.get("kid", "")
        if algorithm not in ALGORITHMS or not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID:
            raise Unauthorized
        key = await self._keys.find(key_id)
        if key is None or key.algorithm_name != algorithm:
            raise Unauthorized
        return self._judged(self._claims(token, key, algorithm))

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                # Times are judged below: by our clock, which tests move.
                options={"require": list(_REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthorized from None
        return claims

    def _judged(self, claims: Mapping[str, Any]) -> Principal:
        rules, user = self._rules, claims["sub"]
        ends, begins = claims["exp"], claims.get("nbf", 0)
        tenant = claims.get(rules.tenant_claim)
        if not _is_number(ends) or not _is_number(begins):
            raise Unauthorized
        if not begins - CLOCK_SKEW_SECONDS <= self._now() < ends + CLOCK_SKEW_SECONDS:
            raise Unauthorized
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant) or not _is_user(user):
            raise Unauthorized
        rights = Rights(scopes=self._scopes(claims.get(rules.scope_claim)), user=unicodedata.normalize("NFC", user))
        record = KeyRecord(KEY_ID, tenant, b"", rights=rights, not_before=float(begins), expires_at=float(ends))
        return Principal(tenant, KEY_ID, rights, record)

    def _scopes(self, claim: object) -> frozenset[Scope]:
        """Of a claim as OAuth writes it (words with blanks between, RFC 8693) or as a list; others open nothing."""
        if claim is None:
            return self._rules.scopes
        words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        return frozenset(scope for scope in Scope if str(scope) in words)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _is_user(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= _MAX_USER and value.isprintable()
