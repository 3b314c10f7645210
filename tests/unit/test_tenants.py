"""Policies of tenants: what they allow, and every way to write one wrongly."""

from dataclasses import replace

import pytest
from chatbot.domain.access import ANYBODY, KeyRecord, Rights
from chatbot.domain.errors import ServiceNotAllowed, TenantSuspended
from chatbot.domain.limits import Limits
from chatbot.domain.personal.retention import Retention
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import NO_POLICIES, Policies, Tenant, TenantLimits
from chatbot.domain.tenants.reading import PolicyError, limit_names, read_policies, read_policy

NOW = 1_800_000_000.0
DAY = 86_400.0
WHOLE = {
    "name": "acme",
    "generation": 3,
    "uid": "u-1",
    "suspended": False,
    "services": ["office"],
    "backends": {"local": True, "openai": {"allowed": True, "models": ["gpt-*"], "whenBudgetSpent": "Local"}},
    "limits": {
        "tenant": {"requestsPerMinute": 600, "tokensPerDay": 20_000_000, "usdPerDay": "25.50", "concurrent": 32},
        "perKey": {"requestsPerMinute": 120},
        "perUser": {"requestsPerMinute": 20, "burst": 5, "tokensPerMinute": 20_000, "tokensPerMonth": 4_000_000},
    },
    "keys": {"maxLifetime": "90d"},
    "privacy": {"localOnly": True, "storeConversations": False, "retention": {"conversations": "30d", "usage": "7d"}},
    "shadowLimits": {"perUser": {"requestsPerMinute": 7}},
    "fairSharing": {"weight": 3},
}


def test_a_whole_policy_is_read() -> None:
    tenant = read_policy(WHOLE, "here")

    assert (tenant.name, tenant.generation, tenant.uid, tenant.services) == ("acme", 3, "u-1", frozenset({"office"}))
    assert tenant.limits.tenant == Limits(
        requests_per_minute=600, tokens_per_day=20_000_000, micro_usd_per_day=25_500_000, concurrent=32
    )
    assert tenant.limits.per_user.burst == 5
    assert tenant.longest_key_seconds == 90 * DAY
    assert tenant.when_budget_spent == "Local"
    assert tenant.backends == frozenset()  # both, which is all that there are
    assert tenant.privacy == Privacy(local_only=True, may_store=False)
    assert tenant.retention == Retention(conversations=30 * DAY, usage=7 * DAY)
    assert tenant.weight == 3
    assert tenant.shadow_limits == TenantLimits(per_user=Limits(requests_per_minute=7))


def test_a_policy_that_says_nothing_forbids_nothing() -> None:
    assert read_policy({"name": "acme"}, "here") == Tenant(name="acme")
    assert read_policies(None) == read_policies({}) == read_policies({"tenants": None}) == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": None}, "name: the tenant's name"),
        ({"name": "a b"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"generation": -1}, "acme].generation: a whole number"),
        ({"generation": "3"}, "generation"),
        ({"uid": 7}, "uid"),
        ({"supended": True}, "acme].supended: no such field; there are name, generation, uid, suspended"),
        ({"suspended": "no"}, "suspended: true or false"),
        ({"services": "office"}, "services: some of office, character"),
        ({"services": []}, "set suspended: true for none"),
        ({"services": ["officer"]}, "services"),
        ({"services": [["office"]]}, "services"),
        ({"backends": ["llama"]}, "backends: an object"),
        ({"backends": {"llama": True}}, "backends.llama: no such field"),
        ({"backends": {"local": 1}}, "backends.local: true or false"),
        ({"backends": {"local": False, "openai": {"allowed": False}}}, "backends: allow one of them"),
        ({"backends": {"openai": {"allowed": "yes"}}}, "openai.allowed"),
        ({"backends": {"openai": {"models": []}}}, "openai.models"),
        ({"backends": {"openai": {"models": ["a b"]}}}, "openai.models"),
        ({"backends": {"openai": {"models": ["m"] * 101}}}, "openai.models"),
        ({"backends": {"openai": {"whenBudgetSpent": "Ask"}}}, "whenBudgetSpent: Refuse or Local"),
        ({"limits": {"perTenant": {}}}, "limits.perTenant: no such field; there are tenant, perKey, perUser"),
        ({"limits": {"tenant": {"requestPerMinute": 1}}}, "limits.tenant.requestPerMinute: no such field"),
        ({"limits": {"tenant": {"account": "other"}}}, "limits.tenant.account: no such field"),
        ({"limits": {"tenant": {"requestsPerMinute": 0}}}, "limits.tenant.requestsPerMinute: a whole number from 1"),
        ({"limits": {"perUser": {"tokensPerDay": True}}}, "limits.perUser.tokensPerDay"),
        ({"limits": {"perUser": {"tokensPerDay": 1.5}}}, "limits.perUser.tokensPerDay"),
        ({"limits": {"perUser": {"tokensPerDay": 10**13}}}, "limits.perUser.tokensPerDay"),
        ({"limits": {"perKey": {"burst": 5}}}, "limits.perKey.burst: needs requestsPerMinute"),
        ({"limits": {"tenant": {"usdPerDay": 25}}}, "limits.tenant.usdPerDay: US dollars as text"),
        ({"limits": {"tenant": {"usdPerDay": "0"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "-1"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "0.0000001"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "NaN"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "Infinity"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "1e9999999"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"tenant": {"usdPerDay": "2,50"}}}, "limits.tenant.usdPerDay"),
        ({"limits": {"perKey": [1]}}, "limits.perKey: an object"),
        ({"keys": {"maxLifetime": 90}}, "keys.maxLifetime: a number of days, hours or minutes"),
        ({"keys": {"maxLifetime": "0d"}}, "keys.maxLifetime"),
        ({"keys": {"maxLifetime": "90 days"}}, "keys.maxLifetime"),
        ({"keys": {"lifetime": "90d"}}, "keys.lifetime: no such field"),
        ({"privacy": {"localonly": True}}, "privacy.localonly: no such field; there are localOnly"),
        ({"privacy": {"localOnly": "yes"}}, "privacy.localOnly: true or false"),
        ({"privacy": {"storeConversations": 0}}, "privacy.storeConversations: true or false"),
        ({"privacy": {"retention": {"conversations": "12h"}}}, "retention.conversations: a number of days such as 30d"),
        ({"privacy": {"retention": {"documents": 30}}}, "privacy.retention.documents: a number of days"),
        ({"privacy": {"retention": {"files": "30d"}}}, "retention.files: no such field; there are conversations"),
        ({"shadowLimits": {"perUser": {"burst": 5}}}, "shadowLimits.perUser.burst: needs requestsPerMinute"),
        ({"fairSharing": {"weight": 0}}, "fairSharing.weight: a whole number from 1 to 100"),
        ({"fairSharing": {"weight": 101}}, "fairSharing.weight"),
        ({"fairSharing": {"weight": True}}, "fairSharing.weight"),
        ({"fairSharing": {"weight": 1.5}}, "fairSharing.weight"),
        ({"fairSharing": 2}, "fairSharing: an object with some of weight"),
        (
            {"backends": {"local": False}, "privacy": {"localOnly": True}},
            "privacy.localOnly: needs backends.local: true",
        ),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(PolicyError) as told:
        read_policies({"tenants": [WHOLE | change]})

    assert named in str(told.value)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "the file: an object"),
        ("text", "the file: an object"),
        ({"tenant": []}, "the file.tenant: no such field"),
        ({"tenants": {}}, "tenants: a list"),
        ({"tenants": ["acme"]}, "tenants[0]: an object"),
        ({"tenants": [{"name": "a"}, {"name": "a"}]}, "tenants: a is there twice"),
        ({"tenants": [{"name": str(number)} for number in range(5001)]}, "at most 5000"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(document: object, named: str) -> None:
    with pytest.raises(PolicyError) as told:
        read_policies(document)

    assert named in str(told.value)


def test_every_limit_that_there_is_has_a_name_in_policies() -> None:
    assert set(limit_names()) == {
        *("requestsPerMinute", "burst", "tokensPerMinute", "tokensPerDay", "tokensPerMonth"),
        *("usdPerDay", "concurrent"),
    }


def test_a_tenant_without_a_policy_has_the_default_one() -> None:
    default, acme = Tenant(name="default", is_suspended=True), Tenant(name="acme")
    policies = Policies([default, acme])

    assert policies.of("acme") is acme
    assert policies.of("other") is policies.of("") is default
    assert NO_POLICIES.of("other").admit(ANYBODY, "office") is ANYBODY
    assert policies.all() == (acme, default)


def test_a_key_of_a_tenant_that_stays_in_the_house_is_for_the_local_model_alone() -> None:
    tenant = Tenant(name="acme", privacy=Privacy(local_only=True))
    remote = replace(ANYBODY, rights=Rights(backends=frozenset({"openai"})))

    admitted = tenant.admit(ANYBODY, "office", "gpt-small").rights
    assert admitted.allows_backend("llama") and not admitted.allows_backend("openai")
    assert not tenant.admit(remote, "office").rights.allows_backend("llama")


def test_nothing_is_admitted_of_a_suspended_tenant_or_for_another_service() -> None:
    with pytest.raises(TenantSuspended):
        Tenant(is_suspended=True).admit(ANYBODY, "office")
    with pytest.raises(ServiceNotAllowed):
        Tenant(services=frozenset({"office"})).admit(ANYBODY, "character")


@pytest.mark.parametrize(
    ("key", "tenant", "both"),
    [((), (), {"llama", "openai"}), ((), ("llama",), {"llama"}), (("openai",), (), {"openai"})]
    + [(("openai",), ("openai",), {"openai"}), (("openai",), ("llama",), set())],
)
def test_a_backend_must_be_allowed_by_key_and_tenant(
    key: tuple[str, ...], tenant: tuple[str, ...], both: set[str]
) -> None:
    asking = replace(ANYBODY, rights=Rights(backends=frozenset(key)))

    rights = Tenant(backends=frozenset(tenant)).admit(asking, "office").rights

    assert {name for name in ("llama", "openai") if rights.allows_backend(name)} == both


@pytest.mark.parametrize(
    ("model", "backends", "both"),
    [
        ("gpt-small", (), {"llama", "openai"}),
        ("o4-mini", ("openai",), {"openai"}),
        ("gpt-large", (), {"llama"}),
        ("gpt-large", ("openai",), set()),
        ("", ("openai",), {"openai"}),
    ],
)
def test_the_second_backend_answers_only_with_models_of_the_tenant(
    model: str, backends: tuple[str, ...], both: set[str]
) -> None:
    tenant = Tenant(remote_models=frozenset({"gpt-small", "o*-mini"}), backends=frozenset(backends))

    rights = tenant.admit(ANYBODY, "office", model).rights

    assert {name for name in ("llama", "openai") if rights.allows_backend(name)} == both


@pytest.mark.parametrize(
    ("times", "allowed"),
    [
        ({"created_at": NOW - 89 * DAY}, True),
        ({"created_at": NOW - 91 * DAY}, False),
        ({"not_before": NOW - 89 * DAY}, True),
        ({"not_before": NOW - 91 * DAY}, False),
        ({"expires_at": NOW + 89 * DAY}, True),
        ({"expires_at": NOW + 91 * DAY}, False),
        ({}, False),
    ],
)
def test_a_key_is_not_valid_for_longer_than_its_tenant_allows(times: dict[str, float], allowed: bool) -> None:
    key = KeyRecord("id", "acme", b"", **times)  # type: ignore[arg-type]

    assert Tenant(longest_key_seconds=90 * DAY).allows_key(key, NOW) is allowed
    assert Tenant().allows_key(key, NOW)
