"""Curated characters from a file that may change at any time. See `Curator`."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.mounted.followed import FollowedFile
from chatbot.adapters.mounted.text import values
from chatbot.domain.curation.curated import Curation, CurationState, CurationStatus

SETTING: Final = "CHATBOT_CHARACTERS_FILE"
_GONE: Final = "bring it back, with `characters: []` if there shall be none"
_LOG = logging.getLogger(__name__)


class CuratedFile(FollowedFile):
    """The curated characters that the file has now.

    Args:
        path: None: there are none, for ever.
        read: From the values of the file and from what held before to what holds now; raises `ValueError`.
        now: UTC.

    Raises:
        ValueError: There is a file, and the whole of it cannot be used. Where there is none, it may come.
    """

    def __init__(
        self,
        path: Path | None,
        read: Callable[[Any, Curation], Curation],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(path, _GONE)
        self._read = read
        self._now = now
        self._status = CurationStatus(CurationState.NONE, "", now())
        self.look()
        if self._status.message:
            raise ValueError(f"{SETTING}: {self._status.message}")

    @property
    def status(self) -> CurationStatus:
        """See `Curator`."""
        return self._status

    @property
    def _holds(self) -> bool:
        return self._status.state is not CurationState.NONE

    def _take(self, content: bytes, digest: str) -> None:
        curation = self._read(values(content), self._status.curation)
        self._status = CurationStatus(CurationState.SERVING, digest, self._now(), curation=curation)
        _LOG.info("%d curated characters are played now, file %s", len(curation.characters), digest)
        for problem in curation.problems.values():
            _LOG.error("%s: characters[%s]: %s", SETTING, problem.name, problem.text)

    def _keep(self, message: str) -> None:
        if message == self._status.message:
            return
        state = CurationState.STALE if self._holds else CurationState.NONE
        self._status = replace(self._status, state=state, message=message)
        _LOG.error("%s: %s; the characters that were read before are played", SETTING, message)
