"""The charts by the real Helm: what they render, and what every pod of theirs must have."""

import re
from pathlib import Path
from typing import Any

import pytest
from parts.helm import CHARTS, CHOSEN, Helm, environment, of_kind, pods

PROFILES = [*sorted(CHARTS.glob("*/ci/*.yaml"))]
SERVICES = ("office", "character")
POD_ARGUMENTS = {"chatbot": CHOSEN, "chatbot-operator": ()}


def chart_of(profile: Path) -> str:
    return profile.parents[1].name


def profile_id(profile: Path) -> str:
    return f"{chart_of(profile)}-{profile.stem}"


@pytest.mark.parametrize("profile", PROFILES, ids=profile_id)
def test_every_profile_renders_and_passes_the_strict_lint(helm: Helm, profile: Path) -> None:
    rendered = helm.render(chart_of(profile), values=profile)
    lint = helm.run("lint", "--strict", profile.parents[1], "-f", profile)

    assert rendered
    assert lint.returncode == 0, lint.stdout
    assert all(document["metadata"].get("namespace") for document in rendered if is_namespaced(document))


def is_namespaced(document: dict[str, Any]) -> bool:
    return document["kind"] not in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")


@pytest.mark.parametrize("profile", PROFILES, ids=profile_id)
def test_every_pod_meets_the_restricted_standard(helm: Helm, profile: Path) -> None:
    found = pods(helm.render(chart_of(profile), values=profile))

    assert found
    for name, pod in found.items():
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        kinds = {next(kind for kind in volume if kind != "name") for volume in pod.get("volumes", [])}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}, name


@pytest.mark.parametrize("profile", PROFILES, ids=profile_id)
def test_every_pod_is_bounded_and_talks_to_no_api_server(helm: Helm, profile: Path) -> None:
    for name, pod in pods(helm.render(chart_of(profile), values=profile)).items():
        container = pod["containers"][0]
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is (chart_of(profile) == "chatbot-operator"), name
        assert "memory" in container["resources"].get("limits", {}) or "everything" in profile.name, name
        assert re.search(r":[^/]+$", container["image"]) and not container["image"].endswith(":latest"), name
        if pod.get("restartPolicy") != "Never":
            assert {"livenessProbe", "readinessProbe"} <= set(container), name


@pytest.mark.parametrize("chart", POD_ARGUMENTS)
def test_the_root_is_read_only_unless_a_gpu_runtime_needs_it(helm: Helm, chart: str) -> None:
    for name, pod in pods(helm.render(chart, sets=POD_ARGUMENTS[chart])).items():
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True, name

    if chart == "chatbot":
        office = pods(helm.render(chart, sets=[*CHOSEN, "office.readOnlyRootFilesystem=false"]))["chatbot-office"]
        assert office["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is False


def test_a_pod_sees_its_revision_its_model_and_the_good_revision(helm: Helm) -> None:
    rendered = helm.render("chatbot", sets=CHOSEN)
    pod = pods(rendered)["chatbot-character"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    deployment = of_kind(rendered, "Deployment", "character")[0]

    annotation, good = volumes["podinfo"]["projected"]["sources"]
    assert annotation["downwardAPI"]["items"] == [
        {"path": "model-revision", "fieldRef": {"fieldPath": "metadata.annotations['chatbot.ai/model-revision']"}}
    ]
    assert good["configMap"]["name"] == "model-character" and good["configMap"]["optional"] is True
    assert good["configMap"]["items"] == [{"key": "good-revision", "path": "good-revision"}]
    assert mounts["podinfo"]["mountPath"] == "/etc/podinfo"
    assert volumes["models"] == {"name": "models", "persistentVolumeClaim": {"claimName": "model-character"}}
    assert mounts["models"] == {"name": "models", "mountPath": "/models", "readOnly": True}
    assert deployment["metadata"]["labels"]["chatbot.ai/model"] == "character"
    assert deployment["spec"]["template"]["metadata"]["labels"]["chatbot.ai/model"] == "character"
    assert "annotations" not in deployment["spec"]["template"]["metadata"], "the revision is the operator's"
    assert deployment["spec"]["progressDeadlineSeconds"] == 7200


def test_names_agree_with_the_operators(helm: Helm) -> None:
    from chatbot_operator import names

    rendered = helm.render("chatbot", sets=[*CHOSEN, "office.model=m"])
    pod = pods(rendered)["chatbot-office"]
    text = str(pod["volumes"])

    assert names.REVISION_ANNOTATION in text and names.GOOD_REVISION_KEY in text
    assert f"'{names.claim_name('m')}'" in text and f"'{names.config_map_name('m')}'" in text
    assert of_kind(rendered, "Deployment", "office")[0]["metadata"]["labels"][names.MODEL_LABEL] == "m"


def test_clocks_follow_the_two_timeouts(helm: Helm) -> None:
    rendered = helm.render(
        "chatbot",
        sets=[
            *CHOSEN, "queue.timeoutSeconds=90", "generation.timeoutSeconds=60",
            "gateway.httpRoute.enabled=true", 'gateway.httpRoute.parentRefs=[{"name": "public"}]',
        ],
    )  # fmt: skip
    pod = pods(rendered)["chatbot-office"]
    annotations = of_kind(rendered, "Ingress")[0]["metadata"]["annotations"]
    rules = of_kind(rendered, "HTTPRoute")[0]["spec"]["rules"]

    assert pod["terminationGracePeriodSeconds"] == 15 + 90 + 60 + 15
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}
    assert environment(pod)["CHATBOT_QUEUE_TIMEOUT_SECONDS"] == "90"
    assert environment(pod)["CHATBOT_GENERATION_TIMEOUT_SECONDS"] == "60"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "180"
    assert annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"] == "180"
    assert [rule.get("timeouts") for rule in rules] == [{"request": "180s"}, {"request": "180s"}, None]


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), None),
        (("office.replicas=3", "office.modelVolume.sameNode=true"), 3),
        (("office.replicas=0",), 0),
        (
            (
                "office.autoscaling.enabled=true",
                "office.autoscaling.prometheusAddress=http://p",
                "office.modelVolume.accessMode=ReadWriteMany",
            ),
            None,
        ),
    ],
    ids=["not set", "set", "none", "autoscaled"],
)
def test_replicas_are_rendered_only_where_they_were_set(
    helm: Helm, sets: tuple[str, ...], expected: int | None
) -> None:
    office = of_kind(helm.render("chatbot", sets=[*CHOSEN, *sets]), "Deployment", "office")[0]

    assert office["spec"].get("replicas") == expected
    assert ("replicas" in office["spec"]) is (expected is not None)


@pytest.mark.parametrize(("spare", "surge", "unavailable"), [("true", 1, 0), ("false", 0, 1)])
def test_a_spare_gpu_decides_the_order_of_an_update(helm: Helm, spare: str, surge: int, unavailable: int) -> None:
    sets = [*CHOSEN, f"office.gpu.spare={spare}", "office.modelVolume.sameNode=true"]

    office = of_kind(helm.render("chatbot", sets=sets), "Deployment", "office")[0]

    assert office["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": unavailable}


def test_a_gpu_pod_asks_for_one_gpu_and_a_cpu_pod_for_none(helm: Helm) -> None:
    found = pods(helm.render("chatbot", sets=[*CHOSEN, "character.gpu.enabled=false"]))
    gpu, cpu = found["chatbot-office"], found["chatbot-character"]

    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gpu["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert gpu["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert gpu["containers"][0]["image"] == "chatbot:0.1.0-cuda"
    assert "nvidia.com/gpu" not in cpu["containers"][0]["resources"]["limits"]
    assert not {"nodeSelector", "tolerations"} & set(cpu)
    assert cpu["containers"][0]["image"] == "chatbot:0.1.0"
    assert environment(cpu)["CHATBOT_ENGINE_GPU_LAYERS"] == "0"
    assert (environment(gpu)["CHATBOT_ENGINE_SLOTS"], environment(cpu)["CHATBOT_ENGINE_SLOTS"]) == ("8", "4")


@pytest.mark.parametrize(
    ("sets", "expected"),
    [((), "true"), (("office.replicas=2", "office.modelVolume.sameNode=true"), "false")],
    ids=["one pod", "two pods"],
)
def test_one_pod_alone_stays_ready_during_a_swap(helm: Helm, sets: tuple[str, ...], expected: str) -> None:
    office = pods(helm.render("chatbot", sets=[*CHOSEN, *sets]))["chatbot-office"]

    assert environment(office)["CHATBOT_MODEL_READY_DURING_SWAP"] == expected


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), "2"),
        (("office.replicas=3", "office.modelVolume.sameNode=true"), "4"),
        (("office.replicas=3", "office.modelVolume.sameNode=true", "character.enabled=false"), "3"),
        (
            (
                "character.autoscaling.enabled=true",
                "character.autoscaling.prometheusAddress=http://p:9090",
                "character.autoscaling.maxReplicas=6",
                "character.modelVolume.sameNode=true",
            ),
            "7",
        ),
    ],
)
def test_a_pod_knows_how_many_count_the_same_limits(helm: Helm, sets: tuple[str, ...], expected: str) -> None:
    office = pods(helm.render("chatbot", sets=[*CHOSEN, *sets]))["chatbot-office"]

    assert environment(office)["CHATBOT_LIMITS_REPLICAS"] == expected


def test_pods_of_a_read_write_once_claim_keep_together_where_asked(helm: Helm) -> None:
    office = pods(helm.render("chatbot", sets=[*CHOSEN, "office.modelVolume.sameNode=true"]))["chatbot-office"]

    assert office["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == [
        {
            "labelSelector": {"matchLabels": {"chatbot.ai/model": "office"}},
            "topologyKey": "kubernetes.io/hostname",
        }
    ]


def test_a_budget_lets_a_node_be_drained(helm: Helm) -> None:
    budgets = of_kind(helm.render("chatbot", sets=CHOSEN), "PodDisruptionBudget")

    assert [budget["metadata"]["name"].removeprefix("chatbot-") for budget in budgets] == [*SERVICES, "not-found"]
    assert {budget["spec"]["maxUnavailable"] for budget in budgets} == {1}
    assert {budget["spec"]["unhealthyPodEvictionPolicy"] for budget in budgets} == {"AlwaysAllow"}


def test_the_autoscaler_counts_waiting_and_running_and_never_reads_silence_as_zero(helm: Helm) -> None:
    rendered = helm.render("chatbot", values=CHARTS / "chatbot/ci/ha-keda.yaml")
    (scaled,) = of_kind(rendered, "ScaledObject")
    trigger = scaled["spec"]["triggers"][0]

    assert trigger["metadata"]["query"] == (
        'sum(chatbot_queue_depth{namespace="chatbot",service="office"}) + '
        'sum(chatbot_requests_running{namespace="chatbot",service="office"})'
    )
    assert trigger["metadata"]["threshold"] == environment(pods(rendered)["chatbot-office"])["CHATBOT_ENGINE_SLOTS"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["metricType"] == "AverageValue", "the fallback needs it"
    assert scaled["spec"]["minReplicaCount"] >= 1
    assert scaled["spec"]["fallback"]["replicas"] >= 1


def test_what_the_cluster_lacks_is_left_out_and_said(helm: Helm) -> None:
    profile = CHARTS / "chatbot/ci/ha-keda.yaml"

    rendered = helm.render("chatbot", values=profile, kinds=())
    notes = helm.run(
        "install", "--dry-run=client", "chatbot", CHARTS / "chatbot", "-n", "chatbot", "-f", profile
    ).stdout

    kinds = {document["kind"] for document in rendered}
    assert not kinds & {"ScaledObject", "HTTPRoute", "ServiceMonitor", "PrometheusRule"}
    for kind in ("HTTPRoute", "ServiceMonitors", "recording rules", "autoscaling of office"):
        assert f"LEFT OUT: {'the ' if kind == 'HTTPRoute' else ''}{kind}" in notes


def notes(helm: Helm, *arguments: str) -> str:
    """What `helm install` says at its end."""
    told = helm.run("install", "--dry-run=client", "chatbot", CHARTS / "chatbot", "-n", "chatbot", *arguments)
    assert told.returncode == 0, told.stderr
    return told.stdout.partition("NOTES:\n")[2]


def test_notes_name_the_secrets_the_key_and_each_model_once(helm: Helm) -> None:
    two_gpus = notes(helm, "-f", str(CHARTS / "chatbot/ci/two-gpus.yaml"))
    trial = notes(helm, "-f", str(CHARTS / "chatbot/ci/cpu-trial.yaml"))
    character = notes(helm, *(part for pair in (*CHOSEN, "office.enabled=false") for part in ("--set", pair)))

    assert "  chatbot-keys   # with the key keys" in two_gpus and "  chatbot-mongodb   # with the key uri" in two_gpus
    assert "Bearer $KEY" in two_gpus and "Bearer" not in trial
    assert "Secrets" not in trial and trial.count("describe model small") == 1
    assert "svc/chatbot-character 8003" in character and '"character_name"' in character
    assert "MISSING: this cluster knows no Models." in character
    assert "\n\nPods stay" in two_gpus and "\n\nMISSING" in trial
    assert "\n\n\n" not in two_gpus + trial + character


def test_notes_say_that_a_gateway_hides_its_callers(helm: Helm) -> None:
    open_to_all = [part for pair in CHOSEN for part in ("--set", pair)]
    said = "http.trustedProxies is empty"

    assert said in notes(helm, *open_to_all)
    assert said not in notes(helm, *open_to_all, "--set", "http.trustedProxies={10.0.0.0/8}")
    assert said not in notes(helm, "-f", str(CHARTS / "chatbot/ci/two-gpus.yaml")), "keys tell callers apart"


def test_routes_reach_the_services_and_the_rest_the_404_page(helm: Helm) -> None:
    rendered = helm.render("chatbot", values=CHARTS / "chatbot/ci/everything.yaml")
    services, uploads, rest = of_kind(rendered, "Ingress")
    route = of_kind(rendered, "HTTPRoute")[0]["spec"]

    paths = [path for rule in services["spec"]["rules"] for path in rule["http"]["paths"]]
    assert [path["path"] for path in paths] == ["/office(/|$)(.*)", "/character(/|$)(.*)"]
    assert services["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/$2"
    assert services["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "1048576"
    assert not any("snippet" in name for name in services["metadata"]["annotations"])
    files = [path["path"] for rule in uploads["spec"]["rules"] for path in rule["http"]["paths"]]
    assert files == [f"/{name}(/)(documents|v1/files|characters/import)$" for name in ("office", "character")]
    assert uploads["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/$2"
    assert rest["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "chat-not-found"
    assert "nginx.ingress.kubernetes.io/rewrite-target" not in rest["metadata"]["annotations"]
    assert [rule["matches"][0]["path"]["value"] for rule in route["rules"]] == ["/office", "/character", "/"]
    assert [rule["backendRefs"][0]["name"] for rule in route["rules"]] == [
        "chat-office",
        "chat-character",
        "chat-not-found",
    ]


def test_secrets_are_files_never_variables(helm: Helm) -> None:
    for name, pod in pods(helm.render("chatbot", values=CHARTS / "chatbot/ci/everything.yaml")).items():
        assert not [entry for entry in pod["containers"][0].get("env", []) if "valueFrom" in entry], name


def test_two_releases_do_not_share_a_name(helm: Helm) -> None:
    first, second = (helm.render("chatbot", sets=CHOSEN, release=name) for name in ("chatbot", "blue"))

    names = [{(d["kind"], d["metadata"]["name"]) for d in rendered} for rendered in (first, second)]
    assert names[0] & names[1] == set()
    assert all(len(name) <= 63 for _, name in names[1])


@pytest.mark.parametrize("path", sorted(CHARTS.glob("*/templates/**/*.*")), ids=lambda path: path.name)
def test_every_template_can_be_read_at_a_glance(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize("service", SERVICES)
def test_a_probe_never_looks_at_the_model_to_restart_a_pod(helm: Helm, service: str) -> None:
    container = pods(helm.render("chatbot", sets=CHOSEN))[f"chatbot-{service}"]["containers"][0]

    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
