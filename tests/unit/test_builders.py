"""Documents for the API server: every field is one that Kubernetes knows, and none gives more than is needed."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from chatbot_operator import builders
from chatbot_operator.actions import CreateJob, EventNote
from chatbot_operator.download import main as download
from chatbot_operator.download.faults import Corrupt, Interrupted, NoSpace, Refused
from chatbot_operator.resources import Model, ModelSpec, ModelStatus, Source, Storage
from kubernetes.client import models as kinds

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = builders.JobSettings(image="registry.test/operator:1")
REFERENCE = {"apiVersion": "chatbot.ai/v1alpha1", "kind": "Model", "name": "llama", "uid": "uid-1", "controller": True}
SPEC = ModelSpec(Source("hf://o/r/a.gguf@main", "a" * 64), Storage(size="20Gi"))
ACTION = CreateJob("dl-llama-0-1", 1, ("b" * 16,), ("uid-2-x",))


def model(source: Source = SPEC.source, storage: Storage = SPEC.storage) -> Model:
    return Model("ns", "llama", "uid-1", 1, "7", replace(SPEC, source=source, storage=storage), ModelStatus())


def job(
    of: Model | None = None, action: CreateJob = ACTION, settings: builders.JobSettings = SETTINGS
) -> dict[str, Any]:
    return builders.job(of or model(), action, settings)


def pod(document: dict[str, Any]) -> dict[str, Any]:
    found = document["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def unknown_fields(document: Any, kind: str, path: str = "") -> Iterator[str]:
    """Fields that the official client's classes, generated from Kubernetes' OpenAPI, do not have."""
    container = re.fullmatch(r"(?:List|Dict)\[(?:\w+, )?(.+)\]", kind)
    if container:
        inner = container[1]
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            yield from unknown_fields(value, inner, f"{path}[{key}]")
    elif (known := getattr(kinds, kind, None)) and inspect.isclass(known):
        names = {written: name for name, written in known.attribute_map.items()}
        for key, value in document.items():
            if key not in names:
                yield f"{path}.{key}"
            else:
                yield from unknown_fields(value, known.openapi_types[names[key]], f"{path}.{key}")


FULL_SETTINGS = builders.JobSettings(
    image="registry.test/operator:1",
    image_pull_secrets=("registry",),
    hf_endpoint="https://mirror.test",
    https_proxy="http://proxy.test:3128",
    ca_bundle_config_map="ca",
    allow_networks=("10.0.0.0/8",),
    allow_hosts=("mirror.test",),
    priority_class_name="low",
)
FULL_ACTION = replace(
    ACTION,
    node_of="office",
    scheduling={
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []},
        },
    },
)
DOCUMENTS = {
    "V1PersistentVolumeClaim": builders.claim(model(storage=Storage(size="1Gi", deletion_policy="Delete"))),
    "V1ConfigMap": builders.config_map(model(), "a" * 16, owned=True),
    "V1Deployment": builders.template_annotation(model(), "office", "a" * 16),
    "V1Pod": builders.pod_annotation(model(), "uid-p", "a" * 16),
    "V1Job": job(model(Source("pvc://source/a.gguf", "a" * 64, False, "hf")), FULL_ACTION, FULL_SETTINGS),
    "CoreV1Event": builders.event(model(), EventNote("Warning", "NoSpace", "text"), NOW),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_kubernetes_knows_every_field(kind: str) -> None:
    document = json.loads(json.dumps(DOCUMENTS[kind]))

    assert list(unknown_fields(document, kind)) == []


def test_unknown_fields_would_be_seen() -> None:
    wrong = {"spec": {"template": {"spec": {"containers": [{"name": "c", "volumeMount": []}]}}}}

    assert list(unknown_fields(wrong, "V1Job")) == [".spec.template.spec.containers[0].volumeMount"]


@pytest.mark.parametrize(
    ("wanted", "expected"), [(None, {}), ("", {"storageClassName": ""}), ("fast", {"storageClassName": "fast"})]
)
def test_absent_storage_class_is_the_clusters_default_and_empty_is_none(
    wanted: str | None, expected: dict[str, str]
) -> None:
    claim = builders.claim(model(storage=Storage(size="20Gi", storage_class_name=wanted)))

    assert {key: value for key, value in claim["spec"].items() if key == "storageClassName"} == expected
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "20Gi"}}


@pytest.mark.parametrize(("policy", "owners"), [("Delete", [REFERENCE]), ("Retain", None)])
def test_claim_goes_with_the_model_only_where_it_says_so(policy: str, owners: list[object] | None) -> None:
    storage = Storage(size="20Gi", deletion_policy="Delete" if policy == "Delete" else "Retain")

    assert builders.claim(model(storage=storage))["metadata"].get("ownerReferences") == owners


def test_ownership_of_others_is_left_alone() -> None:
    assert builders.ownership(model(), owned=True) == {"metadata": {"ownerReferences": [REFERENCE]}}
    assert builders.ownership(model(), owned=False) == {
        "metadata": {"ownerReferences": [{"uid": "uid-1", "$patch": "delete"}]}
    }


def test_deployment_is_given_one_annotation_and_nothing_else() -> None:
    document = builders.template_annotation(model(), "office", "a" * 16)

    assert document["spec"] == {"template": {"metadata": {"annotations": {"chatbot.ai/model-revision": "a" * 16}}}}
    assert builders.no_template_annotation(model()) == {
        "spec": {"template": {"metadata": {"annotations": {"chatbot.ai/model-revision": None}}}}
    }


def test_pod_is_meant_by_its_uid() -> None:
    assert builders.pod_annotation(model(), "uid-p", "a" * 16) == {
        "metadata": {"uid": "uid-p", "annotations": {"chatbot.ai/model-revision": "a" * 16}}
    }


def test_the_other_kind_of_model_has_marks_of_its_own() -> None:
    chat = model()
    vectors = replace(chat, spec=replace(chat.spec, kind="Embedding"))
    annotation = "chatbot.ai/embedding-revision"

    template = builders.template_annotation(vectors, "office", "a" * 16)["spec"]["template"]
    beside = pod(job(vectors, FULL_ACTION))["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    assert template["metadata"]["annotations"] == {annotation: "a" * 16}
    assert builders.no_template_annotation(vectors)["spec"]["template"]["metadata"]["annotations"] == {annotation: None}
    assert builders.pod_annotation(vectors, "uid-p", "")["metadata"]["annotations"] == {annotation: None}
    assert [each["labelSelector"]["matchLabels"] for each in beside] == [{"chatbot.ai/embedding-model": "llama"}]
    assert chat.spec.marks.manager != vectors.spec.marks.manager, "or each apply takes the other's annotation away"
    assert chat.spec.source_key != vectors.spec.source_key, "or a Model made anew takes the old one's Job for its own"


def test_job_has_no_more_rights_than_it_needs() -> None:
    spec = pod(job())
    container = spec["containers"][0]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_job_ends_at_once_where_asking_again_is_of_no_use() -> None:
    spec = job()["spec"]
    rules = spec["podFailurePolicy"]["rules"]

    assert rules[0]["action"] == "FailJob"
    assert rules[0]["onExitCodes"]["values"] == sorted(fault.exit_status for fault in (Refused, Corrupt, NoSpace))
    assert Interrupted.exit_status not in rules[0]["onExitCodes"]["values"]
    assert rules[0]["onExitCodes"]["containerName"] == pod(job())["containers"][0]["name"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"], spec["ttlSecondsAfterFinished"]) == (4, "Failed", 86400)


def test_job_goes_with_the_model_and_is_no_consumer() -> None:
    document = job()

    assert document["metadata"]["ownerReferences"] == [REFERENCE]
    assert document["metadata"]["labels"]["chatbot.ai/model"] == "llama"
    assert "chatbot.ai/model" not in document["spec"]["template"]["metadata"]["labels"]
    assert document["spec"]["template"]["metadata"]["labels"]["chatbot.ai/download"] == "llama"


def test_downloader_understands_the_arguments() -> None:
    arguments = pod(job(model(), FULL_ACTION, FULL_SETTINGS))["containers"][0]["args"]

    options = download._parser().parse_args(arguments)

    assert options.url == "hf://o/r/a.gguf@main"
    assert options.sha256 == "a" * 64
    assert options.kind == "Chat"
    assert options.keep == ["b" * 16]
    assert options.keep_partial == ["uid-2-x"]
    assert re.fullmatch(r"uid-1-[0-9a-f]{8}", options.partial_key)
    assert [str(network) for network in options.allow_network] == ["10.0.0.0/8"]
    assert options.allow_host == ["mirror.test"]
    assert options.delete_unused
    assert str(options.ca_bundle) == "/etc/ssl/chatbot/ca.crt"
    assert str(options.termination_log) == "/dev/termination-log"


@pytest.mark.parametrize("payload", ["$(HF_TOKEN)", "$$(HF_TOKEN)", "`id`", "; rm -rf /", "--keep=x", "$HF_TOKEN"])
def test_address_reaches_the_downloader_letter_by_letter(payload: str) -> None:
    url = f"https://source.test/{payload}/a.gguf"

    container = pod(job(model(Source(url, "a" * 64, False, "hf"))))["containers"][0]

    assert container["command"] == ["chatbot-download"], "no shell"
    assert _as_kubernetes_expands(container["args"][0]) == url


def _as_kubernetes_expands(text: str) -> str:
    """`$$` is `$`, `$(NAME)` is the value of a variable: third_party/forked/golang/expansion in Kubernetes."""
    return re.sub(r"\$(\$|\((\w+)\))", lambda found: "$" if found[1] == "$" else "SECRET", text)


def test_token_comes_from_the_secret_and_a_missing_one_is_seen() -> None:
    variables = pod(job(model(Source("hf://o/r/a.gguf", "a" * 64, False, "hf"))))["containers"][0]["env"]

    assert variables == [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "HF_TOKEN"}}}]
    assert pod(job())["containers"][0]["env"] == []


def test_mirror_proxy_and_authorities_reach_the_job() -> None:
    spec = pod(job(settings=FULL_SETTINGS))

    assert {each["name"]: each["value"] for each in spec["containers"][0]["env"]} == {
        "HF_ENDPOINT": "https://mirror.test",
        "HTTPS_PROXY": "http://proxy.test:3128",
    }
    assert {"name": "ca", "configMap": {"name": "ca"}} in spec["volumes"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_claim_as_source_is_mounted_read_only() -> None:
    spec = pod(job(model(Source("pvc://source/dir/a.gguf", "a" * 64))))

    assert {"name": "source", "persistentVolumeClaim": {"claimName": "source"}} in spec["volumes"]
    assert {"name": "source", "mountPath": "/source", "readOnly": True} in spec["containers"][0]["volumeMounts"]


@pytest.mark.parametrize(
    ("storage", "claim"), [(Storage(size="1Gi"), "model-llama"), (Storage(existing_claim="mine"), "mine")]
)
def test_job_writes_to_the_models_claim(storage: Storage, claim: str) -> None:
    assert pod(job(model(storage=storage)))["volumes"] == [
        {"name": "models", "persistentVolumeClaim": {"claimName": claim}}
    ]


def test_job_runs_where_its_readers_run() -> None:
    spec = pod(job(action=FULL_ACTION))

    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "podAntiAffinity" not in spec["affinity"], "that one spreads the consumer's own pods"
    assert spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == [
        {"labelSelector": {"matchLabels": {"chatbot.ai/model": "llama"}}, "topologyKey": "kubernetes.io/hostname"}
    ]
    assert "affinity" not in pod(job())


def test_event_told_twice_in_a_second_is_one() -> None:
    note = EventNote("Warning", "NoSpace", "x" * 5000)
    first, again = builders.event(model(), note, NOW), builders.event(model(), note, NOW)

    assert first == again
    assert len(first["message"]) == 1024
    assert first["involvedObject"]["uid"] == "uid-1"
    assert (
        first["metadata"]["name"] != builders.event(model(), replace(note, reason="Stalled"), NOW)["metadata"]["name"]
    )
