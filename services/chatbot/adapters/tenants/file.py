"""Policies from a file that may change at any time: a mounted ConfigMap, or one that a person writes."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatbot.adapters.mounted.followed import FollowedFile
from chatbot.adapters.mounted.text import values
from chatbot.domain.tenants.policy import Policies, PolicyState, PolicyStatus, Tenant
from chatbot.domain.tenants.reading import read_policies

SETTING: Final = "CHATBOT_TENANTS_FILE"
_GONE: Final = "bring it back, with `tenants: []` if there shall be no policies"
_LOG = logging.getLogger(__name__)


class PolicyFile(FollowedFile):
    """The policies that the file has now. Implements `Tenants`.

    Args:
        path: None: no policies, for ever.
        now: UTC.

    Raises:
        ValueError: There is a file, and it cannot be used. Where there is none, it may come.
    """

    def __init__(self, path: Path | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(path, _GONE)
        self._now = now
        self._status = PolicyStatus(PolicyState.NONE, "", now())
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

    @property
    def _holds(self) -> bool:
        return self._status.state is not PolicyState.NONE

    def _take(self, content: bytes, digest: str) -> None:
        policies = Policies(parse(content))
        self._status = PolicyStatus(PolicyState.SERVING, digest, self._now(), policies=policies)
        _LOG.info("policies of %d tenants hold now, file %s", len(policies.all()), digest)

    def _keep(self, message: str) -> None:
        if message == self._status.message:
            return
        state = PolicyState.STALE if self._holds else PolicyState.NONE
        self._status = replace(self._status, state=state, message=message)
        _LOG.error("%s: %s; the policies that were read before hold", SETTING, message)


def parse(content: bytes) -> tuple[Tenant, ...]:
    """The policies of a file.

    Raises:
        ValueError: It is too large, no YAML, or says what a policy cannot say.
    """
    return read_policies(values(content))
