"""Has the kubelet mount what changed at once, and not when it comes to it.

A kubelet looks after a mounted ConfigMap whenever it looks after the pod: about once a minute, or when something of the
pod changes, an annotation for example
(https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#mounted-configmaps-are-updated-automatically).
"""

import logging
from collections.abc import Iterable
from typing import Any

from chatbot_operator.cluster.api import MERGE, PODS, Api
from chatbot_operator.cluster.faults import ApiFault, Forbidden
from chatbot_operator.compiled.pages import ServedFile

Document = dict[str, Any]
logger = logging.getLogger(__name__)


class Hastener:
    """Tells pods that are behind, once for each file. Without the right to, the kubelet's minute it is.

    Args:
        annotation: On pods: digest of the file that they were told of.
    """

    def __init__(self, api: Api, annotation: str) -> None:
        self._api = api
        self._annotation = annotation
        self._refused_in: set[str] = set()

    async def hasten(self, namespace: str, pods: Iterable[tuple[Document, ServedFile | None]], digest: str) -> None:
        """Tell those that do not serve the file of a digest; pods come with what they say.

        Raises:
            Unreachable: The API server did not answer in time.
        """
        for pod, page in pods:
            if namespace in self._refused_in:
                return
            if page is not None and page.digest != digest and self._told(pod) != digest:
                await self._tell(namespace, pod["metadata"]["name"], digest)

    def _told(self, pod: Document) -> str:
        return str((pod["metadata"].get("annotations") or {}).get(self._annotation, ""))

    async def _tell(self, namespace: str, pod: str, digest: str) -> None:
        patch = {"metadata": {"annotations": {self._annotation: digest}}}
        try:
            await self._api.patch(PODS, namespace, pod, patch, MERGE)
        except Forbidden:
            self._refused_in.add(namespace)
            logger.info(
                "pods may not be patched, so the kubelet brings what changed within about a minute",
                extra={"namespace": namespace},
            )
        except ApiFault:  # gone meanwhile, or changed: the kubelet comes to it
            return
