"""Kinds that go from a running cluster."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from parts.kube_client import Document, Kube, Refused, wait_for
from parts.kube_objects import condition

_KIND = "CustomResourceDefinition"
_GOING_SECONDS = 120.0


def remove_kinds(kube: Kube, names: Iterable[str]) -> None:
    """Delete definitions of custom resources, where they are there, and wait until they are gone.

    The API server may leave one in Terminating until it looks at all of them again, every five minutes: its first list
    of the instances meets a watch cache that is not filled yet, and its second try a conflict with what the first one
    noted; the change that made the conflict wakes nobody. Any other change of the definition does.

    Source: k8s.io/apiextensions-apiserver, pkg/controller/finalizer/crd_finalizer.go, `sync` and
    `updateCustomResourceDefinition`; seen at https://github.com/operator-framework/operator-controller/issues/1437.
    """
    wanted = set(names)
    for name in _left(kube, wanted):
        with _unless_gone():
            kube.delete(_KIND, "", name)
    wait_for(lambda: not _left_when_woken(kube, wanted), _GOING_SECONDS, lambda: _left(kube, wanted))


def _left(kube: Kube, names: set[str]) -> dict[str, Document]:
    """Those that are still there, by name, with the condition that says how their going stands."""
    found = {document["metadata"]["name"]: condition(document, "Terminating") for document in kube.find(_KIND)}
    return {name: going for name, going in found.items() if name in names}


def _left_when_woken(kube: Kube, names: set[str]) -> dict[str, Document]:
    left = _left(kube, names)
    for name, going in left.items():
        if going.get("reason") == "InstanceDeletionFailed":
            with _unless_gone():
                kube.patch(_KIND, "", name, {"metadata": {"annotations": {"woken": str(time.time_ns())}}})
    return left


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        if refused.status != 404:
            raise
