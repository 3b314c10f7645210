"""What a pod says that it serves: `GET :9090/model`, the only thing the operator believes about it."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import aiohttp

from chatbot_operator.observed import ServedModel

Document = dict[str, Any]
_MOST_BYTES = 64 * 1024
_LONGEST_TEXT = 500
_MOST_AT_ONCE = 128


class ModelPages:
    """Asks pods, many at once, each with a deadline.

    Args:
        url: Where a pod answers; `{ip}`, `{namespace}` and `{name}` are filled in.
        timeout_seconds: Longest wait for one pod; the wait for its turn is not the pod's.
        most_at_once: How many are asked at once.
    """

    def __init__(self, url: str, timeout_seconds: float, most_at_once: int = _MOST_AT_ONCE) -> None:
        self._url = url
        self._slots = asyncio.Semaphore(most_at_once)
        connector = aiohttp.TCPConnector(limit=most_at_once, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_seconds), trust_env=False
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def ask(self, pods: Iterable[Document]) -> dict[str, ServedModel]:
        """What each pod says, by UID; pods that do not answer twice are left out.

        Twice, because silence changes conditions: one lost answer would write a status, and another one soon after.
        """
        asked = [pod for pod in pods if pod.get("status", {}).get("podIP")]
        found = await self._ask_each(asked)
        return found | await self._ask_each([pod for pod in asked if pod["metadata"]["uid"] not in found])

    async def _ask_each(self, pods: list[Document]) -> dict[str, ServedModel]:
        answers = await asyncio.gather(*(self._ask_one(pod) for pod in pods))
        return {pod["metadata"]["uid"]: served for pod, served in zip(pods, answers, strict=True) if served}

    async def _ask_one(self, pod: Document) -> ServedModel | None:
        metadata, ip = pod["metadata"], pod["status"]["podIP"]
        host = f"[{ip}]" if ":" in ip else ip
        url = self._url.format(ip=host, namespace=metadata["namespace"], name=metadata["name"])
        try:
            async with self._slots, self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                return read(await _body(answer))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """At most the size of an honest answer; what is longer is cut, and then no JSON any more."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(4096):
        body += piece
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)


def read(body: bytes) -> ServedModel | None:
    """An answer; None where it is not one."""
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("state"), str):
        return None
    speed, restarts = fields.get("tokens_per_second"), fields.get("engine_restarts")
    return ServedModel(
        state=_text(fields, "state"),
        revision=_text(fields, "revision"),
        expected=_text(fields, "expected"),
        reason=_text(fields, "reason"),
        message=_text(fields, "message"),
        tokens_per_second=float(speed) if isinstance(speed, int | float) else 0.0,
        engine_restarts=restarts if isinstance(restarts, int) else 0,
    )


def _text(fields: Document, name: str) -> str:
    value = fields.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
