"""Tokens that say who the user of a key is: what is good, and all that must not be taken for it."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from chatbot.adapters.keys import user_tokens
from chatbot.adapters.keys.user_tokens import LONGEST_SECONDS, SignedUsers, WrongSigner, parse_signer
from chatbot.core.accounts.key_check import MAX_TOKEN_CHARACTERS, KeyCheck, Tokens
from chatbot.domain.access import CLOCK_SKEW_SECONDS, Rights
from chatbot.domain.errors import UserTokenInvalid
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from parts.issuer import unsigned
from parts.signer import Signer

OURS, STRANGER = Signer(), Signer()
RSA = Signer("RS256")
SOON = int(time.time()) + 600
GOOD = {"sub": "user-1", "aud": "team-a", "exp": SOON}


def named(token: str, signer: Signer = OURS, now: float | None = None) -> str:
    return SignedUsers(now=time.time if now is None else lambda: now).user(token, signer.public, "team-a")


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_token_names_its_user(algorithm: str) -> None:
    signer = Signer(algorithm)

    assert named(signer.token("사용자"), signer) == "사용자"
    assert named(signer.token(aud=["other", "team-a"]), signer) == "user-1"


def test_a_user_is_one_however_he_is_written() -> None:
    assert named(OURS.token("\u1112\u1161\u11ab")) == "한"


def confused() -> str:
    """The public key taken for a shared secret."""
    head = unsigned({"alg": "HS256"}, GOOD).rpartition(".")[0]
    return (
        head
        + "."
        + jwt.utils.base64url_encode(hmac.digest(RSA.public.encode(), head.encode(), hashlib.sha256)).decode()
    )


def forged() -> dict[str, str]:
    good = OURS.token()
    parts = good.split(".")
    return {
        "signed by a stranger": STRANGER.token(),
        "stranger's key in the header": STRANGER.token(
            header={"jwk": jwt.algorithms.OKPAlgorithm.to_jwk(STRANGER.private.public_key(), as_dict=True)}
        ),
        "stranger's key at an address": STRANGER.token(header={"jku": "https://evil.example"}),
        "none": unsigned({"alg": "none"}, GOOD),
        "public key as a secret": confused(),
        "another algorithm": unsigned({"alg": "ES256"}, GOOD, b"x" * 64),
        "claims changed": f"{parts[0]}.{unsigned({}, GOOD | {'sub': 'b'}).split('.')[1]}.{parts[2]}",
        "no signature": f"{parts[0]}.{parts[1]}.",
        "critical header": OURS.token(header={"crit": ["x"], "x": 1}),
        "for another tenant": OURS.token(aud="team-b"),
        "for nobody": OURS.token(aud=None),
        "for ever": OURS.token(exp=None),
        "for too long": OURS.token(exp=int(time.time() + LONGEST_SECONDS + CLOCK_SKEW_SECONDS + 5)),
        "over": OURS.token(exp=int(time.time() - CLOCK_SKEW_SECONDS - 5)),
        "not yet": OURS.token(nbf=int(time.time() + CLOCK_SKEW_SECONDS + 60)),
        "of nobody": OURS.token(None),
        "of no name": OURS.token(""),
        "of a long name": OURS.token("u" * 129),
        "of two lines": OURS.token("a\nb"),
        "of a number": OURS.token(7),
        "empty": "",
        "no token": "x.y.z",
        "a key": "cbk_" + "0" * 51,
        "deep": "eyJ" + "W" * 8000,
    }


@pytest.mark.parametrize("name", forged())
def test_forged_tokens_name_nobody(name: str) -> None:
    signer = RSA if name == "public key as a secret" else OURS
    with pytest.raises(UserTokenInvalid) as refused:
        named(forged()[name], signer)

    assert refused.value.args == ()


@given(claims=st.dictionaries(st.sampled_from(["sub", "aud", "exp", "nbf"]), st.none() | st.text() | st.floats()))
def test_whatever_stands_in_a_token_is_judged(claims: dict[str, Any]) -> None:
    try:
        assert named(OURS.token(**({"user": claims.pop("sub")} if "sub" in claims else {}), **claims))
    except UserTokenInvalid:
        pass


def test_clocks_may_differ_by_a_minute() -> None:
    assert named(OURS.token(exp=SOON), now=SOON + CLOCK_SKEW_SECONDS - 1) == "user-1"
    with pytest.raises(UserTokenInvalid):
        named(OURS.token(exp=SOON), now=SOON + CLOCK_SKEW_SECONDS)


@dataclass
class _Mounted:
    """A file with one key."""

    rights: Rights

    def find(self, presented: str, key: object) -> Any:
        from chatbot.domain.access import KeyRecord

        return KeyRecord("one", "team-a", b"x", rights=self.rights) if presented == "the key" else None


async def test_a_key_that_asks_for_tokens_opens_with_one_alone_and_for_its_user() -> None:
    check = KeyCheck(_Mounted(Rights(signer=OURS.public)), tokens=Tokens(users=SignedUsers))  # type: ignore[arg-type]

    assert (await check.principal("the key", OURS.token("a"))).rights.user == "a"
    assert (await check.principal("the key", OURS.token("b"))).rights.user == "b"
    for token in (None, "", STRANGER.token(), "e" * (MAX_TOKEN_CHARACTERS + 1)):
        with pytest.raises(UserTokenInvalid):
            await check.principal("the key", token)


async def test_a_key_that_asks_for_tokens_opens_nothing_where_nobody_can_judge_them() -> None:
    with pytest.raises(UserTokenInvalid):
        await KeyCheck(_Mounted(Rights(signer=OURS.public))).principal("the key", OURS.token())  # type: ignore[arg-type]


async def test_a_token_changes_no_key_that_does_not_ask_for_one() -> None:
    check = KeyCheck(_Mounted(Rights(user="fixed")), tokens=Tokens(users=SignedUsers))  # type: ignore[arg-type]

    assert (await check.principal("the key", OURS.token("other"))).rights.user == "fixed"


def test_rights_with_a_signer_go_through_plain_values_and_older_ones_have_none() -> None:
    rights = Rights(signer=OURS.public)
    older = {name: value for name, value in Rights().fields().items() if name != "signer"}

    assert Rights.of(json.loads(json.dumps(rights.fields()))) == rights
    assert Rights.of(older) == Rights()
    assert [each.user_from for each in (Rights(), Rights(user="a"), rights, replace(rights, user="a"))] == [
        *("claimed", "fixed", "token", "token")
    ]


def pem(public: Any) -> str:
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (OURS.secret, "private key"),
        (RSA.secret, "private key"),
        ("", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nCANARY\n-----END PUBLIC KEY-----\n", "no public key"),
        (OURS.public * 100, "no public key"),
        (pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "another kind"),
        (pem(ed448.Ed448PrivateKey.generate().public_key()), "another kind"),
        (pem(rsa.generate_private_key(65537, 1024).public_key()), "another kind"),  # noqa: S505 - what is refused
    ],
    ids=range(8),
)
def test_what_is_no_public_key_is_refused_with_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(WrongSigner, match=f"{problem}.*openssl pkey -in user.key -pubout") as refused:
        parse_signer(text)

    assert "CANARY" not in str(refused.value) and "MC4" not in str(refused.value)


def test_signers_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_tokens, "_MAX_SIGNERS", 2)
    users, signers = SignedUsers(), [Signer() for _ in range(4)]

    for signer in (*signers, signers[0]):
        assert users.user(signer.token(), signer.public, "team-a") == "user-1"
    assert len(users._signers) == 2
