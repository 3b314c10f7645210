"""Users whom a gateway names: what the charts let nobody say of himself, and what the services are told."""

import json

import pytest
from chatbot.server.settings.accounts import AuthSettings
from parts.helm import CHOSEN, Helm, environment, of_kind, pods

NGINX = "nginx.ingress.kubernetes.io/"
ROUTE = ("gateway.httpRoute.enabled=true", 'gateway.httpRoute.parentRefs=[{"name": "public"}]')
LOGIN = "http://oauth2-proxy.login.svc/oauth2/auth"
ON = (
    "mongodb.trial.enabled=true",
    'auth.gateway.peers=["10.1.0.0/16"]',
    f"auth.gateway.url={LOGIN}",
    'gateway.httpRoute.authFilters=[{"type": "ExtensionRef", "extensionRef": {"name": "login"}}]',
)
SIBLINGS = {"X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username", "X-Forwarded-User"}


def test_off_no_setting_is_there_and_the_route_takes_the_headers_away_all_the_same(helm: Helm) -> None:
    documents = helm.render("chatbot", sets=[*CHOSEN, *ROUTE])
    (route,) = of_kind(documents, "HTTPRoute")

    for rule in route["spec"]["rules"][:2]:
        first = rule["filters"][0]
        assert set(first["requestHeaderModifier"]["remove"]) == {"X-Auth-Request-User", *SIBLINGS}
        assert [one["type"] for one in rule["filters"]] == ["RequestHeaderModifier", "URLRewrite"]
    assert not any("auth-" in name for each in of_kind(documents, "Ingress") for name in _annotations(each))
    assert not any("GATEWAY" in name for pod in pods(documents).values() for name in environment(pod))


def test_on_the_login_says_who_a_caller_is_on_every_way_to_a_service(helm: Helm) -> None:
    documents = helm.render("chatbot", sets=[*ON, *ROUTE, "auth.gateway.userHeader=X-Our-User"])
    (route,) = of_kind(documents, "HTTPRoute")

    for rule in route["spec"]["rules"][:2]:
        assert [one["type"] for one in rule["filters"]] == ["RequestHeaderModifier", "ExtensionRef", "URLRewrite"]
        removed = rule["filters"][0]["requestHeaderModifier"]["remove"]
        assert set(removed) == {"X-Our-User", "X-Auth-Request-User", *SIBLINGS}
    for ingress in of_kind(documents, "Ingress"):
        names = {path["backend"]["service"]["name"] for path in ingress["spec"]["rules"][0]["http"]["paths"]}
        if names == {"chatbot-not-found"}:
            continue
        annotations = _annotations(ingress)
        assert annotations[NGINX + "auth-url"] == LOGIN
        assert annotations[NGINX + "auth-response-headers"] == "X-Our-User"
        assert NGINX + "auth-signin" not in annotations


@pytest.mark.parametrize("name", ["auth-url", "auth-response-headers"])
def test_annotations_of_ones_own_do_not_switch_that_off(helm: Helm, name: str) -> None:
    own = json.dumps({NGINX + name: "X-Nobody"})
    documents = helm.render("chatbot", sets=[*ON, f"gateway.ingress.annotations={own}"])

    served = [one for one in of_kind(documents, "Ingress") if NGINX + "rewrite-target" in _annotations(one)]
    assert len(served) == 2
    assert "X-Nobody" not in {_annotations(one)[NGINX + name] for one in served}


def test_the_services_believe_what_the_values_say(helm: Helm) -> None:
    documents = helm.render(
        "chatbot", sets=[*ON, "auth.gateway.tenant=staff", 'auth.gateway.scopes=["chat","documents"]']
    )
    told = [environment(pod) for pod in pods(documents).values() if "CHATBOT_AUTH_GATEWAY_PEERS" in environment(pod)]

    assert len(told) == 2
    for variables in told:
        own = {name.removeprefix("CHATBOT_AUTH_").lower(): str(value) for name, value in variables.items()}
        read = {
            name: json.loads(value) if value.startswith("[") else value
            for name, value in own.items()
            if name.startswith("gateway_")
        }
        trust = AuthSettings.model_validate(read).gateway_trust
        assert trust is not None
        assert (trust.tenant, sorted(map(str, trust.scopes)), trust.header) == (
            "staff",
            ["chat", "documents"],
            "X-Auth-Request-User",
        )
        assert trust.believes("10.1.2.3") and not trust.believes("10.2.0.1")


def _annotations(document: dict[str, object]) -> dict[str, str]:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    return metadata.get("annotations") or {}
