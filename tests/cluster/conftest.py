"""One control plane for the whole tier; a namespace, volumes and an operator for each test."""

from collections.abc import Iterator

import pytest
from parts.kube_client import Kube
from parts.kube_cluster import operator_login, running_cluster, scratch_namespace
from parts.kube_objects import volume
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import FakePods, fake_pods

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """The administrator of a cluster with fake nodes."""
    with running_cluster() as client:
        yield client


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace with room for three claims."""
    with scratch_namespace(kube) as name:
        for number in range(3):
            kube.create(volume(name, number))
        yield name


@pytest.fixture(scope="session")
def pods(kube: Kube) -> Iterator[FakePods]:
    """What the pods of all namespaces answer."""
    with fake_pods(kube) as server:
        yield server


@pytest.fixture
def operator(kube: Kube, namespace: str, pods: FakePods) -> Iterator[Operator]:
    """An operator for the namespace, with the rights that the chart gives."""
    with running_operator(operator_login(kube, namespace), namespace, pods.url) as process:
        yield process
