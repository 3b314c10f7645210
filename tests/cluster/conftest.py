"""One control plane for the whole tier; a namespace, volumes and an operator for each test. And one real node."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts.kube_client import Kube
from parts.kube_cluster import operator_login, running_cluster, scratch_namespace
from parts.kube_objects import volume
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import FakePods, fake_pods
from parts.kube_site import Site, installed

_HERE = Path(__file__).parent
_TEST_SECONDS = 600
_NODE = pytest.StashKey[ExitStack]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limit is for the test itself: the first one waits for Kubernetes to be compiled, which has its own limit."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS, func_only=True))


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
    with fake_pods(kube.get) as server:
        yield server


@pytest.fixture
def operator(kube: Kube, namespace: str, pods: FakePods) -> Iterator[Operator]:
    """An operator for the namespace, with the rights that the chart gives."""
    with running_operator(operator_login(kube, namespace), namespace, pods.url) as process:
        yield process


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """README's install on a real node: one for all files test_real_node*.py, which run in the order of their names."""
    with ExitStack() as stack:
        request.config.stash[_NODE] = stack
        yield stack.enter_context(installed())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The node goes when the last of those files is through, not with the session."""
    if _NODE in item.config.stash and not (nextitem and nextitem.path.stem.startswith("test_real_node")):
        item.config.stash[_NODE].close()
