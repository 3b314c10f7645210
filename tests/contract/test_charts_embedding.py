"""A Model of kind Embedding beside the one that chats: as the operator marks it, on its own claim."""

import json
from pathlib import Path

import pytest
from chatbot.server.settings.documents import EmbeddingSettings
from chatbot_operator import names
from parts.helm import CHOSEN, Helm, environment, of_kind, pods

CHATTING = 'models={"chats": {"source": {"url": "hf://a/b/c.gguf"}, "storage": {"size": "4Gi"}}}'


def embedding_model(**storage: str) -> str:
    """A Model of kind Embedding in the values."""
    source = {"url": "hf://a/b/c.gguf", "allowUnverified": True}
    return f"models={json.dumps({'bge-m3': {'kind': 'Embedding', 'source': source, 'storage': storage}})}"


def test_a_model_of_kind_embedding_comes_into_the_pods_as_the_operator_marks_it(helm: Helm) -> None:
    marks = names.marks_of("Embedding")
    sets = [*CHOSEN, "embedding.modelRef=bge-m3", embedding_model(size="4Gi", accessMode="ReadWriteMany")]
    rendered = helm.render("chatbot", sets=sets)
    pod = pods(rendered)["chatbot-office"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    annotation, good = volumes["embedding-podinfo"]["projected"]["sources"]
    told = EmbeddingSettings(dir=Path(environment(pod)["CHATBOT_EMBEDDING_DIR"]))

    for deployment in of_kind(rendered, "Deployment", "office") + of_kind(rendered, "Deployment", "character"):
        for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
            assert metadata["labels"][marks.label] == "bge-m3"
    assert marks.annotation in annotation["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"]
    assert annotation["downwardAPI"]["items"][0]["path"] == "model-revision"
    assert good["configMap"] == {
        "name": names.config_map_name("bge-m3"),
        "optional": True,
        "items": [{"key": names.GOOD_REVISION_KEY, "path": "good-revision"}],
    }
    assert mounts["embedding-podinfo"]["mountPath"] == str(told.revision_dir)
    assert mounts["embedding-models"] == {"name": "embedding-models", "mountPath": str(told.dir), "readOnly": True}
    assert volumes["embedding-models"]["persistentVolumeClaim"]["claimName"] == names.claim_name("bge-m3")
    assert {volumes["models"]["persistentVolumeClaim"]["claimName"]} == {"model-office"}, "the one that chats stays"


@pytest.mark.parametrize(
    ("sets", "claim"),
    [
        ((embedding_model(existingClaim="shared", accessMode="ReadWriteMany"),), "shared"),
        (("embedding.modelClaim=vectors", "embedding.accessMode=ReadWriteMany"), "vectors"),
        (("embedding.sameNode=true",), "model-bge-m3"),
    ],
)
def test_the_claim_of_an_embedding_model_is_the_one_that_the_model_has(
    helm: Helm, sets: tuple[str, ...], claim: str
) -> None:
    rendered = helm.render("chatbot", sets=[*CHOSEN, "embedding.modelRef=bge-m3", *sets])
    found = {
        name: next(each for each in pod["volumes"] if each["name"] == "embedding-models")
        for name, pod in pods(rendered).items()
        if "office" in name or "character" in name
    }
    affinity = str(pods(rendered)["chatbot-character"].get("affinity"))

    assert [each["persistentVolumeClaim"]["claimName"] for each in found.values()] == [claim] * 2
    assert ("'chatbot.ai/embedding-model': 'bge-m3'" in affinity) is ("embedding.sameNode=true" in sets)


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        ((), "embedding.sameNode=true"),
        (("embedding.accessMode=ReadWriteMany", "embedding.file=e/m.gguf"), "choose one"),
        (("embedding.accessMode=ReadWriteMany", "embedding.modelRef=chats", CHATTING), "Set its kind to Embedding"),
        (("embedding.modelRef=", "office.model=bge-m3", embedding_model(size="4Gi")), "answers nobody"),
    ],
)
def test_a_contradiction_about_an_embedding_model_is_told(helm: Helm, sets: tuple[str, ...], sentence: str) -> None:
    assert sentence in helm.refusal("chatbot", sets=[*CHOSEN, "embedding.modelRef=bge-m3", *sets])
