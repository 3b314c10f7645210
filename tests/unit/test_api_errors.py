"""The error table: every error has one row, three languages, and no secret."""

import inspect
import json
import string

import pytest
from chatbot.api import errors
from chatbot.api.errors import TABLE, describe, describe_v1, problem, row_of, sample
from chatbot.api.texts import LANGUAGES, TEXTS, choose_language
from chatbot.domain import errors as domain
from chatbot.domain import limits
from chatbot.domain.limits import NO_QUOTA, BudgetUnavailable, Policy, QuotaSpent, RateLimited, Subject

LEAVES = {
    kind
    for module in (domain, limits)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, domain.ChatError)
}
SAMPLES: list[domain.ChatError] = [
    domain.InvalidInput("input_data", "too_long", maximum=500),
    domain.PromptTooLong("context", 9000, 8192),
    domain.TurnReused(),
    domain.MalformedBody("surrogate"),
    domain.BodyTooLarge(131072),
    domain.Unauthorized(),
    domain.UserTokenInvalid(),
    domain.GatewayUserInvalid("X-Auth-Request-User"),
    domain.Forbidden(),
    domain.ScopeMissing("chat"),
    domain.ServiceNotAllowed(),
    domain.ModelNotAllowed(),
    domain.AddressNotAllowed(),
    domain.TenantSuspended(),
    domain.UserMismatch("user_id"),
    domain.NotFound(),
    domain.ConversationNotFound(),
    domain.ModelNotFound(),
    domain.DocumentNotFound(),
    domain.DocumentsOff(),
    domain.DocumentQuota(),
    domain.ConversationErased(),
    domain.Busy(12, 37),
    RateLimited(Policy.REQUESTS_MINUTE, 3, NO_QUOTA),
    QuotaSpent(Policy.TOKENS_DAY, 30412, NO_QUOTA),
    QuotaSpent(Policy.USD_DAY, 30412, NO_QUOTA, Subject.TENANT),
    RateLimited(Policy.CONCURRENT, 1, NO_QUOTA, Subject.USER),
    BudgetUnavailable(),
    domain.CharacterNotFound(),
    domain.CharacterQuota(),
    domain.CharacterReadOnly(),
    domain.CharactersOff(),
    domain.KeyNotFound(),
    domain.CharactersUnavailable(),
    domain.AuditUnavailable(),
    domain.EmbeddingUnavailable(),
    domain.FileNotFound(),
    domain.VectorStoreNotFound(),
    domain.TimedOut("queue"),
    domain.TimedOut("generation"),
    domain.Unavailable("x", 3),
    domain.ModelUnavailable(),
    domain.BackendUnavailable("", 7),
    domain.StoreUnavailable(),
    domain.DocumentsUnavailable(),
    domain.KeysUnavailable(),
    domain.Draining(),
    domain.EngineLost(),
    errors.MethodNotAllowed("GET"),
    errors.BodyTimeout(),
]


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_domain_is_told_with_a_meaning(kind: type[domain.ChatError]) -> None:
    rows = [row for known, row in TABLE.items() if issubclass(kind, known)]

    assert kind is domain.ChatError or rows[0].status != 500
    assert any(type(one) is kind or issubclass(type(one), kind) for one in SAMPLES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: f"{type(error).__name__}-{error}")
def test_each_is_written_in_each_language(error: domain.ChatError, language: str) -> None:
    body = describe(error, language, "r1")
    v1 = describe_v1(error, language, "r1")["error"]

    assert body["status"] == row_of(error).status
    assert body["title"] and body["detail"] and "{" not in body["detail"].replace("{…}", "")
    assert v1["message"] == body["detail"]


def test_refusals_say_when_to_come_back_with_one_number() -> None:
    told = problem(domain.Busy(12, 37), language="en", request_id="r1", v1=False)
    body = json.loads(told.body)

    assert (told.status, told.headers["Retry-After"], told.media_type) == (429, "12", "application/problem+json")
    assert (body["retry_after"], body["queue_size"], body["code"]) == (12, 37, "queue_full")


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_quota_that_is_spent_says_which_and_asks_clients_not_to_try_again(policy: Policy, language: str) -> None:
    told = problem(QuotaSpent(policy, 30412, NO_QUOTA), language=language, request_id="r1", v1=False)
    body = json.loads(told.body)

    assert (told.status, told.headers["Retry-After"], told.headers["x-should-retry"]) == (429, "30412", "false")
    assert (body["code"], body["retry_after"], body["queue_size"]) == ("insufficient_quota", 30412, 0)
    assert body["violated-policies"] == [str(policy)]
    assert {"ko": "8시간 26분", "en": "8 h 26 min", "ja": "8時間 26分"}[language] in body["detail"]


def test_a_rate_that_is_reached_is_worth_another_try() -> None:
    error = RateLimited(Policy.REQUESTS_MINUTE, 3, NO_QUOTA)
    told = problem(error, language="en", request_id="r1", v1=False)

    assert (told.status, told.headers["Retry-After"], json.loads(told.body)["code"]) == (429, "3", "rate_limited")
    assert "x-should-retry" not in told.headers


def test_draining_asks_to_connect_anew() -> None:
    told = problem(domain.Draining(), language="en", request_id="r1", v1=False)

    assert (told.status, told.headers["Retry-After"], told.headers["Connection"]) == (503, "1", "close")


@pytest.mark.parametrize(
    ("error", "status", "kind", "param", "code"),
    [
        (domain.InvalidInput("n", "not_supported"), 400, "invalid_request_error", "n", "invalid_input"),
        (
            domain.PromptTooLong("messages", 9000, 8192),
            400,
            "invalid_request_error",
            "messages",
            "context_length_exceeded",
        ),
        (domain.ModelNotFound(), 404, "invalid_request_error", None, "model_not_found"),
        (domain.Unauthorized(), 401, "authentication_error", None, "invalid_api_key"),
        (domain.Busy(3, 4), 429, "rate_limit_error", None, "queue_full"),
        (
            RateLimited(Policy.TOKENS_MINUTE, 3, NO_QUOTA),
            429,
            "rate_limit_error",
            None,
            "rate_limit_exceeded",
        ),
        (QuotaSpent(Policy.TOKENS_DAY, 9, NO_QUOTA), 429, "insufficient_quota", None, "insufficient_quota"),
        (domain.TimedOut("queue"), 504, "server_error", None, "timed_out"),
    ],
)
def test_v1_speaks_the_openai_api(
    error: domain.ChatError, status: int, kind: str, param: str | None, code: str
) -> None:
    told = problem(error, language="en", request_id="r1", v1=True)
    body = json.loads(told.body)["error"]

    assert (told.status, told.media_type) == (status, "application/json")
    assert (body["type"], body["param"], body["code"]) == (kind, param, code)


def test_an_unknown_error_says_nothing_internal() -> None:
    told = problem(RuntimeError("secret path /etc/shadow"), language="en", request_id="r1", v1=False)

    assert told.status == 500
    assert b"secret" not in told.body and b"RuntimeError" not in told.body and b"r1" in told.body


def test_all_texts_have_the_same_placeholders_in_each_language() -> None:
    def names(template: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}

    different = {key: texts for key, texts in TEXTS.items() if len({frozenset(names(one)) for one in texts}) > 1}

    assert different == {}


def test_every_documented_status_has_an_example() -> None:
    for v1 in (False, True):
        for kind, row in TABLE.items():
            status = (v1 and row.v1_status) or row.status
            assert errors.status_of(sample(status, v1=v1), v1=v1) == status, kind


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "ko"),
        ("en", "en"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("fr-FR, en;q=0.3, ja;q=0.7", "ja"),
        ("fr", "ko"),
        ("*", "ko"),
        ("en;q=0", "ko"),
        ("en;q=0.1,*;q=0.5", "ko"),
        ("EN-us", "en"),
        ("en;q=nan", "ko"),
        ("en;q=2", "ko"),
        ("en;q=x,ja;q=0.1", "ja"),
        (",,;;q=,", "ko"),
        ("x" * 100_000 + ",en", "ko"),
    ],
)
def test_chooses_the_language_that_was_asked_for(header: str, language: str) -> None:
    assert choose_language(header) == language
