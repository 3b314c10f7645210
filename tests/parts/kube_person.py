"""Somebody with Helm, kubectl, an administrator's rights and a namespace under the restricted standard."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from parts.helm import CHARTS, ROOT, Helm
from parts.kube_client import Kube, Login
from parts.kube_cluster import binary, scratch_namespace

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
KINDS = (
    "configmaps,deployments,horizontalpodautoscalers,ingresses,jobs,models,networkpolicies,persistentvolumeclaims,"
    "poddisruptionbudgets,pods,rolebindings,roles,secrets,serviceaccounts,services,statefulsets"
)
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@dataclass(frozen=True)
class Person:
    """Somebody with Helm, kubectl and a namespace."""

    helm: Helm
    kubectl: str
    kubeconfig: Path
    namespace: str

    def install(self, verb: str, chart: str, *arguments: str) -> str:
        """`helm install|upgrade` of a chart; the release has the chart's name."""
        return self.say(self.helm.path, verb, chart, str(CHARTS / chart), *arguments)

    def say(self, *command: str, given: str | None = None) -> str:
        """Run a command in the namespace; what it said."""
        told = subprocess.run(
            [*command, "--kubeconfig", str(self.kubeconfig), "-n", self.namespace],
            input=given, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr or told.stdout
        return told.stdout

    def follow(self, text: str) -> str:
        """Run commands of a manual as they stand there, from the root of the repository; what they said."""
        folder = self.kubeconfig.parent / "bin"
        folder.mkdir(exist_ok=True)
        for name, command in {"kubectl": f"{self.kubectl} kubectl", "helm": self.helm.path}.items():
            (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (folder / name).chmod(0o755)
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}
        told = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", text],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert told.returncode == 0, f"{text}\n{told.stderr or told.stdout}"
        return told.stdout

    def objects(self, chart: str, kinds: str = KINDS) -> list[str]:
        """`kind/name` of what a release has or has left."""
        found = self.say(self.kubectl, "kubectl", "get", kinds, "-o", "json")
        return sorted(
            f"{item['kind']}/{item['metadata']['name']}"
            for item in json.loads(found)["items"]
            if item["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == chart
        )


@contextmanager
def person_at(kube: Kube, folder: Path, helm: Helm) -> Iterator[Person]:
    """An administrator in a namespace under the restricted standard; the kubeconfig is put into the folder."""
    with scratch_namespace(kube) as namespace:
        kube.patch("Namespace", "", namespace, {"metadata": {"labels": RESTRICTED}})
        kubeconfig = folder / "kubeconfig"
        login = _administrator(kube, namespace)
        kubeconfig.write_text(yaml.safe_dump(login.kubeconfig(namespace=namespace)))
        yield Person(helm, binary(), kubeconfig, namespace)
        kube.call("DELETE", f"{_BINDINGS}/{namespace}")


def _administrator(kube: Kube, namespace: str) -> Login:
    metadata = {"name": "administrator", "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    kube.call("POST", _BINDINGS, binding)
    return Login(kube.login.server, kube.login.ca_file, kube.token(namespace, "administrator"))
