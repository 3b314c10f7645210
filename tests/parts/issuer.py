"""An issuer of tokens, as an OIDC provider is one: keys that it signs with, and their public halves."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://login.example", "chatbot"
_PUBLIC = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def new_key(algorithm: str) -> Any:
    """A private key for an algorithm."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


class Issuer:
    """Signs with one key of each algorithm; the id of a key is the algorithm's name and a generation."""

    def __init__(self, generation: int = 1) -> None:
        self.private = {f"{name}-{generation}": new_key(name) for name in _PUBLIC}

    def key_set(self) -> str:
        """The public halves (JWKS)."""
        keys = []
        for key_id, private in self.private.items():
            made = _PUBLIC[key_id.partition("-")[0]].to_jwk(private.public_key(), as_dict=True)
            keys.append({**made, "kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys})

    def token(self, key_id: str = "ES256-1", *, header: Mapping[str, Any] = {}, **claims: Any) -> str:
        """A good token but for what is asked otherwise; a claim of None is left out. Nothing is checked."""
        given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "tenant": "team-a", "exp": int(time.time()) + 600}
        known = {name: value for name, value in {**given, **claims}.items() if value is not None}
        headers, algorithm = {"kid": key_id, **header}, key_id.partition("-")[0]
        return jwt.PyJWS().encode(json.dumps(known).encode(), self.private[key_id], algorithm, headers)


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
