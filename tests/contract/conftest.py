"""Helm, built once for the tests of the charts."""

import pytest
from parts.helm import Helm
from parts.helm import helm as built_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The real Helm; leaves the test out where it cannot be built."""
    return built_helm()
