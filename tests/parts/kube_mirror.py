"""Objects of a namespace as its watches tell them, so that very many pods cost the API server no call."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from parts.kube_client import Document, Kube, Refused

_KINDS = {"Pod": "pods", "ConfigMap": "configmaps"}
_WATCH_SECONDS = 5
_KEPT = ("metadata", "data")


class Mirror:
    """Pods and ConfigMaps of one namespace, a moment late."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._objects: dict[tuple[str, str], Document] = {}
        self.over = threading.Event()

    def get(self, kind: str, namespace: str, name: str) -> Document:
        """An object as it was told last; the words of `Kube.get` where there is none."""
        assert namespace == self._namespace
        try:
            return self._objects[kind, name]
        except KeyError:
            raise Refused(404, f"{kind} {name} is not known") from None

    def follow(self, kind: str) -> None:
        """Keep the objects of a kind until it is over: a list, then one short watch after the other."""
        path = f"/api/v1/namespaces/{self._namespace}/{_KINDS[kind]}"
        found = self._kube.call("GET", path)
        for document in found["items"]:
            self._put(kind, document)
        version = found["metadata"]["resourceVersion"]
        while not self.over.is_set():
            for event in self._watch(path, version):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._objects.pop((kind, event["object"]["metadata"]["name"]), None)
                elif event["type"] != "BOOKMARK":
                    self._put(kind, event["object"])

    def _watch(self, path: str, version: str) -> Iterator[Document]:
        query = f"watch=true&timeoutSeconds={_WATCH_SECONDS}&allowWatchBookmarks=true&resourceVersion={version}"
        try:
            yield from map(json.loads, self._kube.lines(f"{path}?{query}"))
        except httpx.TransportError:  # the API server ends, and the test with it
            self.over.wait(1)

    def _put(self, kind: str, document: Document) -> None:
        self._objects[kind, document["metadata"]["name"]] = {key: document[key] for key in _KEPT if key in document}


@contextmanager
def mirror(kube: Kube, namespace: str) -> Iterator[Mirror]:
    """A mirror while the context lasts."""
    made = Mirror(kube, namespace)
    threads = [threading.Thread(target=made.follow, args=(kind,), daemon=True) for kind in _KINDS]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.over.set()
        for thread in threads:
            thread.join(timeout=2 * _WATCH_SECONDS)
