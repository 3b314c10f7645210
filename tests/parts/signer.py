"""A tenant's server that says who its users are: it signs tokens, and its key has the public half."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from chatbot.adapters.keys.user_tokens import parse_signer
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from parts.issuer import new_key


class Signer:
    """Signs with one key of an algorithm."""

    def __init__(self, algorithm: str = "EdDSA") -> None:
        self.algorithm = algorithm
        self.private = new_key(algorithm)

    @property
    def public(self) -> str:
        """As it is kept with a key."""
        return parse_signer(
            self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        )

    @property
    def secret(self) -> str:
        """What must not leave the server."""
        made = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return str(made.decode())

    def token(self, user: object = "user-1", *, header: Mapping[str, Any] = {}, **claims: Any) -> str:
        """A good token but for what is asked otherwise; a claim of None is left out. Nothing is checked."""
        given = {"sub": user, "aud": "team-a", "exp": int(time.time()) + 600, **claims}
        known = json.dumps({name: value for name, value in given.items() if value is not None}).encode()
        return jwt.PyJWS().encode(known, self.private, self.algorithm, dict(header))
