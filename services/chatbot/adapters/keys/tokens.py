"""Tokens of an issuer instead of keys: JSON Web Tokens (RFC 7519), judged as RFC 8725 advises.

Each token is checked with the one algorithm of the key that its id names.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from chatbot.adapters.keys.claims import WrongToken, claims_of, header_of, holds_at, is_user
from chatbot.adapters.keys.issuer_keys import IssuerKeys
from chatbot.domain.access import ALL_SCOPES, KeyRecord, Principal, Rights, Scope
from chatbot.domain.errors import Unauthorized

KEY_ID: Final = "jwt"
"""Stands for the id of a key in logs: a token has none that is ours."""

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_KEY_ID: Final = 200
_NOTHING: Final[frozenset[Scope]] = frozenset()
_REQUIRED: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Whose tokens, and which claims say what.

    Attributes:
        scopes: Of a token without the scope claim.
        meanings: Scopes that a word of the claim stands for; empty: the words are scopes.
    """

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    scope_claim: str = "scope"
    scopes: frozenset[Scope] = frozenset({Scope.CHAT})
    meanings: Mapping[str, frozenset[Scope]] = field(default_factory=dict)


class IssuerTokens:
    """`TokenCheck` by an issuer's public keys."""

    def __init__(self, rules: TokenRules, keys: IssuerKeys, *, now: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._keys = keys
        self._now = now

    async def principal(self, token: str) -> Principal:
        """See `TokenCheck`."""
        try:
            header = header_of(token)
        except WrongToken:
            raise Unauthorized from None
        algorithm, key_id = header["alg"], header.get("kid", "")
        if not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID:
            raise Unauthorized
        key = await self._keys.find(key_id)
        if key is None or key.algorithm_name != algorithm:
            raise Unauthorized
        rules = self._rules
        try:
            claims = claims_of(token, key, algorithm, required=_REQUIRED, issuer=rules.issuer, audience=rules.audience)
        except WrongToken:
            raise Unauthorized from None
        return self._judged(claims)

    def _judged(self, claims: Mapping[str, Any]) -> Principal:
        rules, user = self._rules, claims["sub"]
        tenant = claims.get(rules.tenant_claim)
        if not holds_at(claims, self._now()):
            raise Unauthorized
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant) or not is_user(user):
            raise Unauthorized
        rights = Rights(scopes=self._scopes(claims.get(rules.scope_claim)), user=unicodedata.normalize("NFC", user))
        begins, ends = float(claims.get("nbf", 0)), float(claims["exp"])
        record = KeyRecord(KEY_ID, tenant, b"", rights=rights, not_before=begins, expires_at=ends)
        return Principal(tenant, KEY_ID, rights, record)

    def _scopes(self, claim: object) -> frozenset[Scope]:
        """Of a claim as OAuth writes it (words with blanks between, RFC 8693) or as a list; others open nothing.

        No issuer makes administrators: many call a role of their own `admin`.
        """
        if claim is None:
            return self._rules.scopes
        words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        if self._rules.meanings:
            found = (self._rules.meanings.get(word, _NOTHING) for word in words if isinstance(word, str))
            return frozenset(chain.from_iterable(found)) & ALL_SCOPES
        return frozenset(scope for scope in ALL_SCOPES if str(scope) in words)
