"""Tokens of an issuer: what is good, and all that must not be taken for it."""
# ruff: noqa: ASYNC240 - a test may wait for its own files

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from chatbot.adapters.keys.issuer_keys import MAX_KEYS, FileIssuerKeys, WrongKeySet, parse_key_set
from chatbot.adapters.keys.tokens import IssuerTokens, TokenRules
from chatbot.core.accounts.key_check import MAX_TOKEN_CHARACTERS, KeyCheck, Tokens
from chatbot.domain.access import CLOCK_SKEW_SECONDS, Principal, Scope
from chatbot.domain.errors import Unauthorized
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts.issuer import AUDIENCE, ISSUER, Issuer, unsigned

OURS, STRANGER = Issuer(), Issuer()
SOON = int(time.time()) + 600
GOOD = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "tenant": "team-a", "exp": SOON}


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(OURS.key_set())
    return path


async def judged(key_set: Path, token: str, now: float | None = None, **rules: Any) -> Principal:
    clock = time.time if now is None else lambda: now
    tokens = IssuerTokens(TokenRules(ISSUER, AUDIENCE, **rules), FileIssuerKeys(key_set), now=clock)
    return await KeyCheck(tokens=Tokens(tokens)).principal(token)


@pytest.mark.parametrize("key_id", OURS.private)
async def test_a_token_stands_for_its_user_in_its_tenant(key_set: Path, key_id: str) -> None:
    principal = await judged(key_set, OURS.token(key_id, scope="chat conversations:read more"))

    assert (principal.tenant, principal.key_id, principal.rights.user) == ("team-a", "jwt", "user-1")
    assert principal.rights.scopes == {Scope.CHAT, Scope.CONVERSATIONS_READ}
    assert principal.key is not None and principal.key.expires_at and principal.key.expires_at > time.time()


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        (None, {Scope.CHAT}),
        (["conversations:erase"], {Scope.CONVERSATIONS_ERASE}),
        ("", set()),
        (7, set()),
        ({"chat": True}, set()),
    ],
)
async def test_scopes_come_from_a_claim(key_set: Path, claim: object, scopes: set[Scope]) -> None:
    assert (await judged(key_set, OURS.token(scope=claim))).rights.scopes == scopes


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        (["staff"], {Scope.CHAT, Scope.DOCUMENTS}),
        ("staff author", {Scope.CHAT, Scope.DOCUMENTS, Scope.CHARACTERS_WRITE}),
        (["boss", "chat", "usage:read", 7, None, {"a": 1}, ["staff"]], set()),
        (None, {Scope.CHAT}),
    ],
)
async def test_words_of_an_issuer_can_stand_for_scopes(key_set: Path, claim: object, scopes: set[Scope]) -> None:
    meanings = {
        "staff": frozenset({Scope.CHAT, Scope.DOCUMENTS}),
        "author": frozenset({Scope.CHARACTERS_WRITE}),
        "boss": frozenset({Scope.ADMIN}),
    }

    assert (await judged(key_set, OURS.token(scope=claim), meanings=meanings)).rights.scopes == scopes


async def test_claims_are_named_by_settings(key_set: Path) -> None:
    token = OURS.token(tenant=None, org="team-b", roles=["chat"], scope="conversations:erase")

    principal = await judged(key_set, token, tenant_claim="org", scope_claim="roles")

    assert (principal.tenant, principal.rights.scopes) == ("team-b", {Scope.CHAT})


def forged() -> dict[str, str]:
    """Tokens that others made."""
    public = OURS.private["RS256-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = unsigned({"alg": "HS256", "kid": "RS256-1"}, GOOD).rpartition(".")[0]
    confused = head + "." + jwt.utils.base64url_encode(hmac.digest(public, head.encode(), hashlib.sha256)).decode()
    good = OURS.token()
    parts = good.split(".")
    return {
        "signed by a stranger": STRANGER.token(),
        "none": unsigned({"alg": "none", "kid": "ES256-1"}, GOOD),
        "None": unsigned({"alg": "nOnE"}, GOOD),
        "no algorithm": unsigned({"kid": "ES256-1"}, GOOD),
        "algorithm is a list": unsigned({"alg": ["ES256"], "kid": "ES256-1"}, GOOD),
        "public key as a secret": confused,
        "another key's algorithm": OURS.token("RS256-1", header={"kid": "ES256-1"}),
        "unknown key": OURS.token(header={"kid": "other"}),
        "key id is a path": OURS.token(header={"kid": "../../../../dev/null"}),
        "key id is long": unsigned({"alg": "ES256", "kid": "k" * 5000}, GOOD),
        "key in the header": OURS.token(header={"jwk": {"kty": "oct"}, "jku": "http://evil.example", "kid": ""}),
        "no signature": f"{parts[0]}.{parts[1]}.",
        "claims changed": f"{parts[0]}.{unsigned({}, GOOD | {'tenant': 'b'}).split('.')[1]}.{parts[2]}",
        "cut": good[:-10],
        "four parts": good + ".x",
        "deep": "eyJ" + "W" * 8000,
        "critical header": unsigned({"alg": "ES256", "kid": "ES256-1", "crit": ["x"]}, GOOD),
        "critical header, signed": OURS.token(header={"crit": ["x"], "x": 1}),
        "stranger's key at an address": STRANGER.token(header={"jku": "https://evil.example/jwks", "x5u": "https://e"}),
        "stranger's key in the header": STRANGER.token(
            header={"jwk": jwt.algorithms.ECAlgorithm.to_jwk(STRANGER.private["ES256-1"].public_key(), as_dict=True)}
        ),
        "algorithm told twice": unsigned_text('{"alg": "ES256", "kid": "ES256-1", "alg": "none"}', GOOD),
        "compressed": unsigned({"alg": "ES256", "kid": "ES256-1", "zip": "DEF"}, GOOD),
        "encrypted": unsigned({"alg": "dir", "enc": "A128GCM"}, GOOD) + "..",
        "nothing": "eyJ",
        "too long": "eyJ" + "a" * MAX_TOKEN_CHARACTERS,
    }


def unsigned_text(header: str, claims: dict[str, Any]) -> str:
    """A token whose header no library would write."""
    return jwt.utils.base64url_encode(header.encode()).decode() + "." + unsigned({}, claims).partition(".")[2]


async def test_what_a_header_points_to_is_ignored_where_the_signature_is_ours(key_set: Path) -> None:
    token = OURS.token(header={"jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u", "typ": "x"})

    assert (await judged(key_set, token)).tenant == "team-a"


async def test_of_a_claim_that_is_told_twice_one_counts_and_it_is_judged(key_set: Path) -> None:
    """RFC 7519, 4: the last one; the issuer has signed both."""
    twice = b'{"iss": "%s", "aud": "%s", "exp": 1, "exp": %d, "sub": "user-1", "tenant": "b", "tenant": "team-a"}'
    claims = twice % (ISSUER.encode(), AUDIENCE.encode(), SOON)
    good = jwt.PyJWS().encode(claims, OURS.private["ES256-1"], "ES256", {"kid": "ES256-1"})
    bad = jwt.PyJWS().encode(claims[:-1] + b', "exp": 1}', OURS.private["ES256-1"], "ES256", {"kid": "ES256-1"})

    assert (await judged(key_set, good)).tenant == "team-a"
    with pytest.raises(Unauthorized):
        await judged(key_set, bad)


@pytest.mark.parametrize("name", forged())
async def test_forged_tokens_are_refused(key_set: Path, name: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await judged(key_set, forged()[name])

    assert refused.value.args == ()


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 1e300},
        {"exp": True},
        {"nbf": "now"},
        {"sub": None},
        {"sub": ""},
        {"sub": "u" * 129},
        {"sub": "a\nb"},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "a b"},
        {"tenant": ["team-a"]},
        {"tenant": {"$gt": ""}},
        {"tenant": "../other"},
    ],
    ids=str,
)
async def test_a_token_that_says_too_little_or_the_wrong_thing_is_refused(
    key_set: Path, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized):
        await judged(key_set, OURS.token(**claims))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["ES256", "EdDSA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), _JSON),
    claims=st.dictionaries(st.sampled_from(list(GOOD) + ["nbf", "iat", "scope"]), _JSON),
)
def test_whatever_stands_in_a_token_is_judged(key_set: Path, header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Signed or not, it opens or it is refused: nothing else is raised."""
    for token in (unsigned({"alg": "ES256"} | header, GOOD | claims, b"x"), OURS.token(**claims)):
        with contextlib.suppress(Unauthorized):
            assert isinstance(asyncio.run(judged(key_set, token)), Principal)


@pytest.mark.parametrize(
    ("now", "is_valid"),
    [
        (SOON + CLOCK_SKEW_SECONDS - 1, True),
        (SOON + CLOCK_SKEW_SECONDS, False),
        (SOON - 600 - CLOCK_SKEW_SECONDS, True),
        (SOON - 600 - CLOCK_SKEW_SECONDS - 1, False),
    ],
)
async def test_clocks_may_differ_by_a_minute(key_set: Path, now: float, is_valid: bool) -> None:
    token = OURS.token(exp=SOON, nbf=SOON - 600)

    if is_valid:
        assert (await judged(key_set, token, now)).tenant == "team-a"
    else:
        with pytest.raises(Unauthorized):
            await judged(key_set, token, now)


async def test_an_issuer_that_changes_its_keys_is_followed(key_set: Path, caplog: pytest.LogCaptureFixture) -> None:
    newer = Issuer(2)
    check = KeyCheck(tokens=Tokens(IssuerTokens(TokenRules(ISSUER, AUDIENCE), FileIssuerKeys(key_set))))

    key_set.write_text("{broken CANARY")
    assert (await check.principal(OURS.token())).tenant == "team-a"
    assert "CHATBOT_AUTH_JWT_JWKS_FILE" in caplog.text and "CANARY" not in caplog.text

    key_set.write_text(newer.key_set())
    assert (await check.principal(newer.token("RS256-2"))).tenant == "team-a"
    with pytest.raises(Unauthorized):
        await check.principal(OURS.token())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"keys": []}',
        '{"keys": {}}',
        '{"keys": [{}]}',
        '{"keys": ["x"]}',
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}]}),
        json.dumps({"keys": [{"kty": "RSA", "kid": "a", "n": "x", "e": "y"}]}),
        json.dumps({"keys": [{"kty": "EC", "use": "enc"}]}),
        json.dumps({"keys": [{"kty": "OKP"}] * (MAX_KEYS + 1)}),
        '{"keys":' + "[" * 100_000,
    ],
    ids=range(12),
)
def test_what_is_no_set_of_public_keys_is_refused(text: str) -> None:
    with pytest.raises(WrongKeySet):
        parse_key_set(text)
