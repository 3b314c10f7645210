"""Values of the charts: strict, documented, used, and said in a sentence where they contradict each other."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot.server.environment import names as service_settings
from chatbot_operator.process.environment import names as operator_settings
from parts.charts import leaves
from parts.helm import CHARTS, CHOSEN, NEIGHBOURS, Helm, environment, pods

USED_ELSEWHERE = {
    "chatbot": {
        "embedding.accessMode",
        "embedding.file",
        "embedding.modelClaim",
        "embedding.modelRef",
        "embedding.sameNode",
        "image.tag",
        "mongodb.existingSecret",
        "networkPolicy.mongodb",
        "office.modelVolume.accessMode",
        "office.replicas",
    },
    "chatbot-operator": {"image.digest"},
}
"""Values that the profile leaves at their default, or that another value of it overrules; other tests move them."""


@pytest.mark.parametrize(
    ("chart", "sets", "path"),
    [
        ("chatbot", ("office.gpu.spair=true",), "/office/gpu"),
        ("chatbot", ("queue.timeoutSeconds=soon",), "/queue/timeoutSeconds"),
        ("chatbot", ("queue.timeoutSeconds=0",), "/queue/timeoutSeconds"),
        ("chatbot", ("character.engine.slots=300",), "/character/engine/slots"),
        ("chatbot", ("office.modelVolume.accessMode=ReadWriteTwice",), "/office/modelVolume/accessMode"),
        ("chatbot", ("openai.baseUrl=https://user:pw@api.example.com",), "/openai/baseUrl"),
        ("chatbot", ("office.model=Not A Name",), "/office/model"),
        ("chatbot", ("unknown.thing=1",), "'unknown' not allowed"),
        ("chatbot", ('auth.gateway.peers=["0.0.0.0/0"]',), "/auth/gateway/peers/0"),
        ("chatbot", ('auth.gateway.scopes=["admin"]',), "/auth/gateway/scopes/0"),
        ("chatbot", ('models={"m": {"source": {}}}',), "/models/m"),
        ("chatbot", ('http.corsOrigins=["*"]',), "/http/corsOrigins/0"),
        ("chatbot-operator", ("networkPolicy.apiServer.ports=[0]",), "/networkPolicy/apiServer/ports/0"),
        ("chatbot-operator", ("downloads.httpsProxy=socks5://p:1",), "/downloads/httpsProxy"),
        ("chatbot-operator", ('watchNamespaces=["Not A Name"]',), "/watchNamespaces/0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(helm: Helm, chart: str, sets: tuple[str, ...], path: str) -> None:
    chosen = CHOSEN if chart == "chatbot" else ()

    assert path in helm.refusal(chart, sets=[*chosen, *sets])


@pytest.mark.parametrize(
    ("chart", "sets", "sentence"),
    [
        ("chatbot", ("mongodb.trial.enabled=true",), "Set auth.pepperSecret or auth.existingSecret"),
        ("chatbot", (*CHOSEN, "auth.existingSecret=k"), "auth.allowAnonymous=true contradicts"),
        ("chatbot", (*CHOSEN, "auth.pepperSecret=p"), "auth.allowAnonymous=true contradicts"),
        ("chatbot", (*CHOSEN, "auth.jwt.issuer=i"), "auth.allowAnonymous=true contradicts"),
        (
            "chatbot",
            ("mongodb.trial.enabled=true", "auth.jwt.issuer=i", "auth.jwt.audience=a"),
            "auth.jwt.issuer needs auth.jwt.audience and auth.jwt.jwksConfigMap",
        ),
        ("chatbot", (*CHOSEN, 'auth.gateway.peers=["10.0.0.0/8"]'), "auth.allowAnonymous=true contradicts"),
        (
            "chatbot",
            ("mongodb.trial.enabled=true", 'auth.gateway.peers=["10.0.0.0/8"]'),
            "needs auth.gateway.url, which says who a caller is",
        ),
        (
            "chatbot",
            (
                "mongodb.trial.enabled=true", 'auth.gateway.peers=["10.0.0.0/8"]', "gateway.ingress.enabled=false",
                "gateway.httpRoute.enabled=true", 'gateway.httpRoute.parentRefs=[{"name": "public"}]',
            ),
            "the HTTPRoute takes auth.gateway.userHeader away",
        ),
        ("chatbot", ("auth.allowAnonymous=true",), "conversations have no store"),
        ("chatbot", (*CHOSEN, "mongodb.existingSecret=m"), "contradict each other; choose one"),
        ("chatbot", (*CHOSEN, "weather.plan=non_commercial"), "List the provider (also of weather and news)"),
        ("chatbot", (*CHOSEN, "weather.plan=commercial", "search.peers=[{}]"), "needs weather.keySecret"),
        ("chatbot", (*CHOSEN, "weather.plan=self_hosted", "search.peers=[{}]"), "needs weather.url"),
        ("chatbot", (*CHOSEN, "office.replicas=2"), "cannot be used on two nodes"),
        ("chatbot", (*CHOSEN, "office.gpu.spare=true"), "cannot be used on two nodes"),
        (
            "chatbot",
            (*CHOSEN, "office.autoscaling.enabled=true", "office.autoscaling.prometheusAddress=http://p"),
            "cannot be used on two nodes",
        ),
        ("chatbot", (*CHOSEN, "office.autoscaling.enabled=true"), "needs office.autoscaling.prometheusAddress"),
        (
            "chatbot",
            (
                *CHOSEN, "office.autoscaling.enabled=true", "office.autoscaling.prometheusAddress=http://p",
                "office.replicas=2", "office.modelVolume.sameNode=true",
            ),
            "leave replicas out",
        ),
        ("chatbot", (*CHOSEN, "character.model=office"), "share one ReadWriteOnce claim"),
        ("chatbot", (*CHOSEN, "openai.enabled=true"), "needs openai.model"),
        ("chatbot", (*CHOSEN, "openai.enabled=true", "openai.model=m"), "List its networks in openai.cidrs"),
        ("chatbot", (*CHOSEN, "openai.fallback=true"), "needs openai.enabled=true"),
        (
            "chatbot",
            (
                *CHOSEN, "openai.enabled=true", "openai.model=m", 'openai.cidrs=["10.0.0.0/8"]', "openai.fallback=true",
                "openai.freeMode=false",
            ),
            "needs openai.freeMode=true",
        ),
        ("chatbot", (*CHOSEN, "gateway.httpRoute.enabled=true"), "needs gateway.httpRoute.parentRefs"),
        ("chatbot", (*CHOSEN, 'monitoring.dashboards.only=["cost"]'), 'there is no dashboard "cost"'),
        (
            "chatbot",
            (
                *CHOSEN, "office.modelVolume.accessMode=ReadWriteMany",
                'models={"office": {"source": {"url": "hf://a/b/c.gguf"}, "storage": {"size": "1Gi"}}}',
            ),
            "is not what models.office.storage.accessMode says",
        ),
        ("chatbot-operator", ("clusterWide=true", 'watchNamespaces=["a"]'), "exclude each other"),
        ("chatbot-operator", ("downloads.httpsProxy=http://p:1",), "List the proxy's network"),
    ],
)  # fmt: skip
def test_contradictions_stop_the_render_with_a_remedy(
    helm: Helm, chart: str, sets: tuple[str, ...], sentence: str
) -> None:
    assert sentence in helm.refusal(chart, sets=sets)


@pytest.mark.parametrize("chart", ["chatbot", "chatbot-operator"])
def test_every_value_is_set_by_the_profile_that_sets_everything(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "ci/everything.yaml").read_text())

    unset = [path for path in leaves(chart) if not _has(values, path)]

    assert unset == []


@pytest.mark.parametrize("chart", ["chatbot", "chatbot-operator"])
def test_every_value_changes_what_is_rendered(helm: Helm, chart: str) -> None:
    everything = yaml.safe_load((CHARTS / chart / "ci/everything.yaml").read_text())
    defaults = leaves(chart)
    paths = [path for path in defaults if not path.startswith("character.")]
    baseline = _rendered(helm, chart, everything)
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(lambda path: _rendered(helm, chart, _changed(everything, path, defaults[path])), paths))

    idle = {path for path, text in zip(paths, texts, strict=True) if text == baseline}
    assert idle == USED_ELSEWHERE[chart]


def test_an_embedding_model_is_a_file_or_an_api(helm: Helm) -> None:
    trial = ["auth.allowAnonymous=true", "mongodb.trial.enabled=true", "embedding.file=embedding/model.gguf"]

    pods_of_both = pods(helm.render("chatbot", sets=trial))

    told = next(environment(pod) for name, pod in pods_of_both.items() if name.endswith("office"))
    assert told["CHATBOT_EMBEDDING_PATH"] == "/models/embedding/model.gguf"
    assert "CHATBOT_EMBEDDING_URL" not in told
    assert "choose one" in helm.refusal("chatbot", sets=[*trial, "embedding.url=http://a/v1", "embedding.model=m"])


def _rendered(helm: Helm, chart: str, values: dict[str, Any]) -> str:
    """The text, or what is said where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        known = [part for kind in NEIGHBOURS for part in ("-a", kind)]
        told = helm.run("template", "chatbot", CHARTS / chart, "-n", "chatbot", "-f", file, *known)
    return told.stdout or told.stderr


def test_every_variable_of_a_service_is_a_setting(helm: Helm) -> None:
    known = set(service_settings())
    for profile in sorted((CHARTS / "chatbot/ci").glob("*.yaml")):
        for name, pod in pods(helm.render("chatbot", values=profile)).items():
            ours = {variable for variable in environment(pod) if variable.startswith("CHATBOT_")}
            assert ours - known == set(), name


def test_every_variable_of_the_operator_is_a_setting(helm: Helm) -> None:
    operator = pods(helm.render("chatbot-operator", values=CHARTS / "chatbot-operator/ci/everything.yaml"))["models"]

    assert {name for name in environment(operator) if name.startswith("CHATBOT_")} <= set(operator_settings())


@pytest.mark.parametrize(
    ("chart", "pod", "command"),
    [
        ("chatbot", "chat-office", "chatbot-office"),
        ("chatbot", "chat-character", "chatbot-character"),
        ("chatbot-operator", "models", "chatbot-operator"),
    ],
)
def test_the_program_takes_the_environment_that_the_chart_gives(helm: Helm, chart: str, pod: str, command: str) -> None:
    found = pods(helm.render(chart, values=CHARTS / chart / "ci/everything.yaml"))[pod]
    variables = environment(found) | {"PATH": os.environ["PATH"]}

    program = Path(sys.executable).parent / found["containers"][0]["command"][0]
    told = subprocess.run([program, "--show-settings"], env=variables, capture_output=True, text=True, timeout=60)

    assert program.name == command
    assert told.returncode == 0, told.stderr
    assert (
        f"LOG_LEVEL={variables['CHATBOT_LOG_LEVEL' if chart == 'chatbot' else 'CHATBOT_OPERATOR_LOG_LEVEL']}"
        in told.stdout
    )


def _changed(values: dict[str, Any], path: str, default: Any) -> dict[str, Any]:
    """The values with one switched, or back at its default."""
    name, _, rest = path.partition(".")
    if rest:
        return {**values, name: _changed(values[name], rest, default)}
    return {**values, name: not values[name] if isinstance(values[name], bool) else default}


def _has(values: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True
