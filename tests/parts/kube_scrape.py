"""What a cluster's ServiceMonitors ask to be scraped, followed as pods come and go: a small Prometheus Operator.

Debian's Prometheus is built without Kubernetes, so it reads a file that is written here once a second. Names of the
labels: https://prometheus-operator.dev/docs/api-reference/api/ (ServiceMonitorSpec), as its operator gives them.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from parts.kube_client import Document, Kube, Refused

_LOOK_SECONDS = 1.0


def targets(kube: Kube) -> list[Document]:
    """Groups of targets for `file_sd_configs`, of all ServiceMonitors of the cluster."""
    return [
        group
        for monitor in kube.find("ServiceMonitor")
        for namespace in monitor["spec"]["namespaceSelector"]["matchNames"]
        for service in kube.find("Service", namespace, labelSelector=_selector(monitor["spec"]["selector"]))
        for endpoint in monitor["spec"]["endpoints"]
        for group in _of_service(kube, monitor["spec"], service, endpoint)
    ]


def _selector(selector: Document) -> str:
    wanted: Mapping[str, str] = selector["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in wanted.items())


def _of_service(kube: Kube, spec: Document, service: Document, endpoint: Document) -> Iterator[Document]:
    assert (endpoint["path"], endpoint["honorLabels"]) == ("/metrics", True), "what parts.prometheus is told to do"
    metadata = service["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    job = metadata["labels"][spec["jobLabel"]] if "jobLabel" in spec else name
    of_service = {"kubernetes.io/service-name": name}
    for piece in kube.find("EndpointSlice", namespace, labelSelector=_selector({"matchLabels": of_service})):
        ports = [port["port"] for port in piece["ports"] or [] if port["name"] == endpoint["port"]]
        for port in ports:
            for one in piece["endpoints"] or []:
                pod = one.get("targetRef", {}).get("name", "")
                labels = {"job": job, "namespace": namespace, "service": name, "pod": pod, "endpoint": endpoint["port"]}
                yield {"targets": [f"{one['addresses'][0]}:{port}"], "labels": labels}


@contextmanager
def following(kube: Kube, folder: Path) -> Iterator[Path]:
    """Keep a file of targets up to date while the context lasts; its path."""
    file, over = folder / "targets.json", threading.Event()
    file.write_text(json.dumps(targets(kube)))
    client = Kube(kube.login)  # a thread of its own, a connection of its own

    def follow() -> None:
        while not over.wait(_LOOK_SECONDS):
            with contextlib.suppress(Refused, httpx.HTTPError):
                new = folder / "targets.new"
                new.write_text(json.dumps(targets(client)))
                new.replace(file)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield file
    finally:
        over.set()
        thread.join(timeout=60)
        client.close()
