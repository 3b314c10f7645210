"""The translation of Ingresses into nginx's directives, which the gateway suite relies on."""

from pathlib import Path
from typing import Any

import pytest
from parts.gateway_nginx import PREFIX, configuration, pods_of, rules_of

CONFIG = {"use-forwarded-headers": "false", "worker-shutdown-timeout": "330s", "hide-headers": "Server"}
REGEX = {"use-regex": "true", "rewrite-target": "/$2", "proxy-read-timeout": "330"}


def ingress(path: str, service: str, annotations: dict[str, str]) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"name": "http"}}}
    rule = {"http": {"paths": [{"path": path, "backend": backend}]}}
    named = {PREFIX + name: value for name, value in annotations.items()}
    return {"metadata": {"annotations": named}, "spec": {"ingressClassName": "nginx", "rules": [rule]}}


def written(pods: dict[str, list[str]], **more: str) -> str:
    ingresses = [ingress("/", "rest", {}), ingress("/office(/|$)(.*)", "office", {**REGEX, **more})]
    return configuration(rules_of(ingresses, "nginx"), pods, CONFIG, (8080, Path("folder")))


def test_the_longest_path_comes_first_and_each_is_a_regular_expression() -> None:
    text = written({"office": ["192.0.2.1:8002"], "rest": ["192.0.2.1:8080"]})

    office, rest = text.index('location ~* "^/office(/|$)(.*)"'), text.index('location ~* "^/"')
    assert office < rest
    assert 'rewrite "(?i)/office(/|$)(.*)" /$2 break;' in text[office:rest] and "rewrite" not in text[rest:]
    assert "proxy_read_timeout 330s;" in text[office:rest] and "proxy_read_timeout 60s;" in text[rest:]


def test_a_service_without_pods_is_unavailable() -> None:
    assert 'location ~* "^/office(/|$)(.*)" { return 503; }' in written({"rest": ["192.0.2.1:8080"]})


def test_an_annotation_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(AssertionError, match="no translation of"):
        written({}, **{"proxy-red-timeout": "1"})


def test_only_ready_pods_on_the_port_named_http_count() -> None:
    def endpoint(address: str, *, ready: bool) -> dict[str, Any]:
        return {"addresses": [address], "conditions": {"ready": ready}}

    one = {
        "metadata": {"labels": {"kubernetes.io/service-name": "office"}},
        "ports": [{"name": "http", "port": 8002}, {"name": "metrics", "port": 9090}],
        "endpoints": [endpoint("192.0.2.1", ready=True), endpoint("192.0.2.2", ready=False)],
    }
    empty = {"metadata": {"labels": {"kubernetes.io/service-name": "office"}}, "ports": None, "endpoints": None}

    assert pods_of([one, empty]) == {"office": ["192.0.2.1:8002"]}
