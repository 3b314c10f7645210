"""Policies from a file that may change at any time: a mounted ConfigMap, or one that a person writes.

The kubelet swaps a symbolic link, so a path leads to the old or to the new file and never to half of one
(https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically).
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatbot.adapters.tenants.text import MOST_BYTES, parse
from chatbot.domain.tenants.policy import Policies, PolicyState, PolicyStatus, Tenant
from chatbot.domain.tenants.reading import PolicyError

LOOK_SECONDS: Final = 1.0
SETTING: Final = "CHATBOT_TENANTS_FILE"
_LOG = logging.getLogger(__name__)
_Version = tuple[int, int, int]


class PolicyFile:
    """The policies that the file has now. Implements `Tenants`.

    Args:
        path: None: no policies, for ever.
        now: UTC.

    Raises:
        ValueError: There is a file, and it cannot be used. Where there is none, it may come.
    """

    def __init__(self, path: Path | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._version: _Version | None = None
        self._status = PolicyStatus(PolicyState.NONE, "", now())
        if path is not None:
            self.look()
            if self._status.message:
                raise ValueError(f"{SETTING}: {self._status.message}")

    @property
    def status(self) -> PolicyStatus:
        """What holds, and what is wrong."""
        return self._status

    def of(self, tenant: str) -> Tenant:
        """See `Tenants`."""
        return self._status.policies.of(tenant)

    async def follow(self) -> None:
        """Look at the file every second, for ever; in a thread, since a large one takes a while."""
        while self._path is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the file if it changed. What is broken or gone changes nothing but the status: old policies hold."""
        if self._path is None:
            return
        try:
            version = _version(self._path)
            if version == self._version:
                return
            content = _read(self._path)
            self._version = version
            policies = Policies(parse(content))
        except FileNotFoundError:
            self._missing()
        except OSError as exc:
            self._version = None  # it may be readable without having changed
            self._keep(f"the file cannot be read: {exc.strerror}")
        except PolicyError as exc:
            self._keep(str(exc))
        else:
            digest = hashlib.sha256(content).hexdigest()[:16]
            self._status = PolicyStatus(PolicyState.SERVING, digest, self._now(), policies=policies)
            _LOG.info("policies of %d tenants hold now, file %s", len(policies.all()), digest)

    def _missing(self) -> None:
        self._version = None
        if self._status.state is not PolicyState.NONE:  # a ConfigMap that is gone must not lift a suspension
            self._keep("the file is gone; bring it back, with `tenants: []` if there shall be no policies")

    def _keep(self, message: str) -> None:
        if message == self._status.message:
            return
        state = PolicyState.NONE if self._status.state is PolicyState.NONE else PolicyState.STALE
        self._status = replace(self._status, state=state, message=message)
        _LOG.error("%s: %s; the policies that were read before hold", SETTING, message)


def _version(path: Path) -> _Version:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
