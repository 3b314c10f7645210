"""Internal pages of pods: asked many at once, each with a deadline and a bound."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import aiohttp

Document = dict[str, Any]
T = TypeVar("T")
MOST_BYTES: Final = 64 * 1024
_MOST_AT_ONCE = 128


class PodPages(Generic[T]):
    """Asks pods, many at once, each with a deadline.

    Args:
        url: Where a pod answers; `{ip}`, `{namespace}` and `{name}` are filled in.
        timeout_seconds: Longest wait for one pod; the wait for its turn is not the pod's.
        read: Makes something of an answer; None where it is not one.
        most_at_once: How many are asked at once.
        most_bytes: What is longer is cut, and then nothing that can be read.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        read: Callable[[bytes], T | None],
        *,
        most_at_once: int = _MOST_AT_ONCE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._url = url
        self._read = read
        self._most_bytes = most_bytes
        self._slots = asyncio.Semaphore(most_at_once)
        connector = aiohttp.TCPConnector(limit=most_at_once, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_seconds), trust_env=False
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def ask(self, pods: Iterable[Document]) -> dict[str, T]:
        """What each pod says, by UID; pods that do not answer twice are left out.

        Twice, because silence changes conditions: one lost answer would write a status, and another one soon after.
        """
        asked = [pod for pod in pods if pod.get("status", {}).get("podIP")]
        found = await self._ask_each(asked)
        return found | await self._ask_each([pod for pod in asked if pod["metadata"]["uid"] not in found])

    async def _ask_each(self, pods: list[Document]) -> dict[str, T]:
        answers = await asyncio.gather(*(self._ask_one(pod) for pod in pods))
        return {pod["metadata"]["uid"]: served for pod, served in zip(pods, answers, strict=True) if served}

    async def _ask_one(self, pod: Document) -> T | None:
        metadata, ip = pod["metadata"], pod["status"]["podIP"]
        host = f"[{ip}]" if ":" in ip else ip
        url = self._url.format(ip=host, namespace=metadata["namespace"], name=metadata["name"])
        try:
            async with self._slots, self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                return self._read(await _body(answer, self._most_bytes))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


async def _body(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """At most the size of an honest answer; what is longer is cut, and then no JSON any more."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(4096):
        body += piece
        if len(body) > most_bytes:
            break
    return bytes(body)
