"""docs/operations.md on a cluster: its commands, run as they stand there, with the operator at work."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from parts.helm import CHARTS, helm
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import operator_login, scratch_namespace
from parts.kube_objects import GOOD_1, GOOD_2, condition, consumer, model, revision_of, story, volume
from parts.kube_operator import running_operator
from parts.kube_person import Person, person_at
from parts.kube_pods import FakePods
from parts.manual import commands


@pytest.fixture
def person(kube: Kube, tmp_path: Path) -> Iterator[Person]:
    with person_at(kube, tmp_path, helm()) as somebody:
        yield somebody


def follow(person: Person, name: str, **variables: str) -> str:
    """Run a block of the manual in the person's own folder."""
    folder = person.kubeconfig.parent
    told = "".join(f"export {key}='{value}'\n" for key, value in {"NS": person.namespace, **variables}.items())
    return person.follow(f"cd {folder}\n{told}{commands(name)}")


def served(kube: Kube, namespace: str) -> str:
    document = kube.get("Model", namespace, "demo")
    is_ready = condition(document, "Ready").get("status") == "True"
    return str(document.get("status", {}).get("revision", "")) if is_ready else ""


def test_a_model_is_changed_undone_and_moved_to_another_cluster(
    kube: Kube, namespace: str, person: Person, pods: FakePods
) -> None:
    here, person = namespace, replace(person, namespace=namespace)
    with running_operator(operator_login(kube, here), here, pods.url):
        kube.create(consumer(here))
        kube.create(model(here))
        wait_for(lambda: served(kube, here) == revision_of(GOOD_1), what=lambda: story(kube.get("Model", here, "demo")))

        follow(person, "change", MODEL="demo", URL="https://models.test/other.gguf", SHA256=GOOD_2)
        assert served(kube, here) == revision_of(GOOD_2)
        follow(person, "undo", MODEL="demo")
        assert served(kube, here) == revision_of(GOOD_1)

    profile = yaml.safe_load((CHARTS / "chatbot/ci/cpu-trial.yaml").read_text())
    values = person.kubeconfig.parent / "mine.yaml"
    values.write_text(yaml.safe_dump({**profile, "models": {}}))
    person.install("install", "chatbot", "-f", str(values))
    follow(person, "move-out")
    kept = person.kubeconfig.parent
    assert yaml.safe_load((kept / "values.yaml").read_text())["office"]["model"] == "small"

    with scratch_namespace(kube) as there, running_operator(operator_login(kube, there), there, pods.url):
        kube.create(volume(there))
        follow(person, "move-in", NS=there)
        moved = kube.get("Model", there, "demo")
        assert moved["spec"] == kube.get("Model", here, "demo")["spec"]
        assert json.loads((kept / "models.json").read_text())["items"][0].keys() == {
            "apiVersion", "kind", "metadata", "spec",
        }  # fmt: skip


def test_a_key_is_rotated_in_its_secret(kube: Kube, person: Person) -> None:
    create = "kubectl -n {} create secret generic chatbot-keys --from-literal=keys=team-a:{}"
    person.follow(create.format(person.namespace, "0" * 64))
    block = commands("rotate-cluster").replace("-n chatbot", f"-n {person.namespace}")
    assert "# edit `keys` as above" in block

    edit = f"echo >> keys; echo team-a:{'1' * 64} >> keys"
    person.follow(f"cd {person.kubeconfig.parent}\n" + block.replace("# edit `keys` as above", edit))

    stored = person.follow(
        f"kubectl -n {person.namespace} get secret chatbot-keys -o jsonpath='{{.data.keys}}' | base64 -d"
    )
    assert stored.split() == [f"team-a:{'0' * 64}", f"team-a:{'1' * 64}"]
