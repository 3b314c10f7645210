"""Calls of the API server in plain documents, each with a deadline.

The client library gives credentials, TLS and transport. Its typed models are left out: the operator reads a few
fields of many objects, and a document passes through unchanged.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import client, config

from chatbot_operator import names
from chatbot_operator.cluster.faults import Unreachable, refusal

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: where it is served."""

    prefix: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """Path of an object, or of a namespace's list of them."""
        parts = [self.prefix, "namespaces", namespace, self.plural, *([name] if name else [])]
        return "/" + "/".join(quote(part, safe="/") for part in parts)


MODELS = Kind(f"apis/{names.API_VERSION}", names.PLURAL)
TENANTS = Kind(f"apis/{names.API_VERSION}", names.TENANTS)
CHARACTERS = Kind(f"apis/{names.API_VERSION}", names.CHARACTERS)
DEPLOYMENTS = Kind("apis/apps/v1", "deployments")
JOBS = Kind("apis/batch/v1", "jobs")
PODS = Kind("api/v1", "pods")
CLAIMS = Kind("api/v1", "persistentvolumeclaims")
CONFIG_MAPS = Kind("api/v1", "configmaps")
EVENTS = Kind("api/v1", "events")

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
MOST_WRITES_AT_ONCE = 20
_MOST_READS_AT_ONCE = 10
_PAGE_OBJECTS = 250
_APPLY = "application/apply-patch+yaml"


class Api:
    """The API server.

    Every call raises `ApiFault` where it is refused and `Unreachable` where no answer comes in time. A few are under
    way at once, the others wait here: what all Models want together would otherwise pass its deadlines over there.
    Reading has a line of its own: behind what a thousand Models write, the next look would wait once for each page.
    """

    def __init__(self, api_client: client.ApiClient, timeout_seconds: float) -> None:
        self._client = api_client
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._reads, self._writes = asyncio.Semaphore(_MOST_READS_AT_ONCE), asyncio.Semaphore(MOST_WRITES_AT_ONCE)

    @classmethod
    async def connect(cls, kubeconfig: Path | None, timeout_seconds: float) -> Self:
        """Use a kubeconfig, or the pod's own ServiceAccount where there is none."""
        configuration = client.Configuration()
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
        return cls(client.ApiClient(configuration), timeout_seconds)

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()

    async def connection(self) -> Document:
        """Where the API server is and what to log in with, in the words of `kopf.ConnectionInfo`."""
        own = self._client.configuration
        settings = await own.auth_settings()
        # "Bearer …" from a kubeconfig, "bearer …" from a ServiceAccount
        _, _, token = str(settings.get("BearerToken", {}).get("value", "")).partition(" ")
        return {
            "server": own.host,
            "ca_path": own.ssl_ca_cert,
            "insecure": not own.verify_ssl,
            "certificate_path": own.cert_file,
            "private_key_path": own.key_file,
            "scheme": "Bearer" if token else None,
            "token": token.strip() or None,
        }

    async def get(self, kind: Kind, namespace: str, name: str) -> Document:
        """Read an object."""
        return await self._call("GET", kind.path(namespace, name))

    async def find(self, kind: Kind, namespace: str, selector: str = "", *, named: str = "") -> list[Document]:
        """Read all objects of a namespace, or those that a label selector names, or the one of a name."""
        return await self._list(kind.path(namespace), _selection(selector, named))

    async def find_everywhere(self, kind: Kind, *, named: str = "") -> list[Document]:
        """Read all objects of all namespaces, or those of a name."""
        return await self._list(f"/{kind.prefix}/{kind.plural}", _selection("", named))

    async def create(self, kind: Kind, document: Document) -> Document:
        """Create an object; `Conflict` where one of that name exists."""
        return await self._call("POST", kind.path(document["metadata"]["namespace"]), _MANAGER, document)

    async def apply(self, kind: Kind, document: Document, manager: str = names.FIELD_MANAGER) -> Document:
        """Server-side apply: take the document's fields over, whoever had them, and leave those that it had alone."""
        metadata = document["metadata"]
        query = {"fieldManager": manager, "force": "true"}
        return await self._call("PATCH", kind.path(metadata["namespace"], metadata["name"]), query, document, _APPLY)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Document, flavour: str) -> Document:
        """Change an object; `flavour` is `MERGE` or `STRATEGIC`."""
        return await self._call("PATCH", kind.path(namespace, name), _MANAGER, patch, flavour)

    async def write_status(
        self, namespace: str, name: str, status: Document, resource_version: str, kind: Kind = MODELS
    ) -> Document:
        """Replace an object's status; `Conflict` where it is not any more the one that was read."""
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._call("PATCH", f"{kind.path(namespace, name)}/status", _MANAGER, patch, JSON_PATCH)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object and, in the background, what it owns."""
        await self._call("DELETE", kind.path(namespace, name), {"propagationPolicy": "Background"})

    async def last_log_line(self, namespace: str, pod: str) -> str:
        """The last line that a pod wrote."""
        status, text = await self._exchange("GET", f"{PODS.path(namespace, pod)}/log?tailLines=1", None, "")
        if status >= 400:
            raise _refused(status, text)
        return text

    async def _list(self, path: str, query: dict[str, str]) -> list[Document]:
        """All pages, which show one moment; the deadline is for a page, however many there are.

        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
        """
        found: list[Document] = []
        token = ""
        while True:
            page = await self._call("GET", path, {**query, "limit": str(_PAGE_OBJECTS), "continue": token})
            found += map(_without_managers, page.get("items", []))
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return found

    async def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None, flavour: str = ""
    ) -> Document:
        status, text = await self._exchange(method, f"{path}?{urlencode(query)}" if query else path, body, flavour)
        if status >= 400:
            raise _refused(status, text)
        document: Document = json.loads(text)
        return document

    async def _exchange(self, method: str, path: str, body: Any, flavour: str) -> tuple[int, str]:
        headers = {"Accept": "application/json, */*", "Content-Type": flavour or "application/json"}
        line = self._reads if method == "GET" else self._writes
        try:
            method, url, headers, body, _ = await self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            async with line:  # the deadline is for the API server, not for our own line
                answer = await self._client.call_api(method, url, headers, body, _request_timeout=self._timeout)
                return answer.status, (await answer.read()).decode(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{method} {path.partition('?')[0]}: {type(error).__name__}") from error


def _selection(labels: str, name: str) -> dict[str, str]:
    found = {"labelSelector": labels, "fieldSelector": f"metadata.name={name}" if name else ""}
    return {key: value for key, value in found.items() if value}


_MANAGER = {"fieldManager": names.FIELD_MANAGER}


def _without_managers(document: Document) -> Document:
    """Who owns which field is half of an object, and nobody here reads it; of thousands it fills the memory."""
    document["metadata"].pop("managedFields", None)
    return document


def _refused(status: int, text: str) -> Exception:
    """The API server answers with a `Status` object; something between may answer with anything."""
    try:
        document = json.loads(text)
        return refusal(status, str(document.get("reason", "")), str(document.get("message", "")))
    except (ValueError, AttributeError):
        return refusal(status, "", text[:200])
