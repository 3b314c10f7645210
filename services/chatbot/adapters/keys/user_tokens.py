"""Tokens with which the server of a key's owner says who its user is, for keys that reach browsers.

The key has the public half of what the owner signs with; a token names its user (`sub`), is for the key's tenant
(`aud`) and lives at most an hour. Whoever copies a key out of a browser can do nothing without a token, and with one
only what that user can.
"""

import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from chatbot.adapters.keys.claims import PublicKey, WrongToken, claims_of, header_of, holds_at, is_user
from chatbot.domain.access import CLOCK_SKEW_SECONDS
from chatbot.domain.errors import UserTokenInvalid

LONGEST_SECONDS: Final = 3600.0
"""Of a token's life that is left: a token that was stolen is of no use for longer."""

_REQUIRED: Final = ("exp", "aud", "sub")
_MAX_PEM: Final = 4096
_LEAST_RSA_BITS: Final = 2048
_MAX_SIGNERS: Final = 1000


class WrongSigner(ValueError):
    """What was given is no public key that can be used; the message says what is, and repeats nothing of it."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}; give the public key as PEM, Ed25519, P-256 or RSA of {_LEAST_RSA_BITS} bits and more: "
            "openssl genpkey -algorithm ed25519 -out user.key; openssl pkey -in user.key -pubout -out user.pub"
        )


def parse_signer(text: str) -> str:
    """A public key in the one form in which it is kept.

    Raises:
        WrongSigner: It is none, or a private one, which must not come here.
    """
    if "PRIVATE KEY" in text:
        raise WrongSigner("this is a private key: keep it where tokens are signed")
    public, _ = _load(text)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class SignedUsers:
    """`UserTokenCheck` by the signers' public keys."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._signers: OrderedDict[str, tuple[PublicKey, str]] = OrderedDict()

    def user(self, token: str, signer: str, tenant: str) -> str:
        """See `UserTokenCheck`."""
        try:
            key, algorithm = self._signer(signer)
            if header_of(token)["alg"] != algorithm:
                raise WrongToken
            claims = claims_of(token, key, algorithm, required=_REQUIRED, audience=tenant)
        except (WrongToken, WrongSigner):
            raise UserTokenInvalid from None
        now, user = self._now(), claims["sub"]
        if not holds_at(claims, now) or claims["exp"] > now + LONGEST_SECONDS + CLOCK_SKEW_SECONDS or not is_user(user):
            raise UserTokenInvalid
        return unicodedata.normalize("NFC", user)

    def _signer(self, text: str) -> tuple[PublicKey, str]:
        """Read once, as long as it is in use."""
        found = self._signers.get(text)
        if found is None:
            found = self._signers[text] = _load(text)
            if len(self._signers) > _MAX_SIGNERS:
                self._signers.popitem(last=False)
        self._signers.move_to_end(text)
        return found


def _load(text: str) -> tuple[PublicKey, str]:
    """A public key, and the one algorithm that it is used with."""
    try:
        if len(text) > _MAX_PEM:
            raise ValueError
        public = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise WrongSigner("this is no public key") from None
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public, "EdDSA"
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return public, "ES256"
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _LEAST_RSA_BITS:
        return public, "RS256"
    raise WrongSigner("this is a public key of another kind")
