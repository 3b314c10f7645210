"""`CHATBOT_TEST_KUBECONFIG`: the tests on a cluster that somebody else looks after, played by one of our own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import running_cluster
from parts.kube_objects import model

ROOT = Path(__file__).parents[2]
SMALL = ["tests/cluster/test_operator.py", "-k", "comes_onto"]


@pytest.fixture
def theirs() -> Iterator[Kube]:
    """A cluster that knows nothing of these tests but its administrator's kubeconfig."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHATBOT_TEST_KUBECONFIG", raising=False)
        with running_cluster() as kube:
            yield kube


@pytest.mark.timeout(600, func_only=True)
def test_the_tests_run_on_a_cluster_of_the_users_and_leave_it_as_it_was(theirs: Kube, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(theirs.login.kubeconfig()))
    theirs.create(model("default", "somebodys"))
    before = _names(theirs)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SMALL],
        env={**os.environ, "CHATBOT_TEST_KUBECONFIG": str(kubeconfig)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
    wait_for(lambda: _names(theirs) == before, 60, lambda: _names(theirs) ^ before)
    assert theirs.is_there("Model", "default", "somebodys")
    assert "status" not in theirs.get("Model", "default", "somebodys"), "the operator of the tests left it alone"


def _names(kube: Kube) -> set[tuple[str, str]]:
    """What the tests could have left: everything that has no namespace, and namespaces."""
    kinds = ("Namespace", "PersistentVolume", "CustomResourceDefinition", "Node")
    return {(kind, document["metadata"]["name"]) for kind in kinds for document in kube.find(kind)}
