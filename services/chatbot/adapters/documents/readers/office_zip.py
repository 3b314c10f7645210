"""The zip of an Office file, read in memory under bounds: nothing is unpacked to a disk, so no name can leave a folder.

XML comes from expat without document types: no entities, so none that grow or point elsewhere (ECMA-376 has none).
"""

import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from xml.parsers import expat

from chatbot.domain.documents import FailureReason, Unreadable

MAX_UNPACKED_BYTES = 50 * 2**20
MAX_ENTRIES = 2000
MAX_RATIO = 100
_RATIO_FROM_BYTES = 2**20
_IS_ENCRYPTED = 1  # bit of an entry's flags


class OfficeZip:
    """A checked package.

    Raises:
        Unreadable: `damaged`, `encrypted`, or `too_large` where it would unpack to too much.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(BytesIO(content))
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError):
            raise Unreadable(FailureReason.DAMAGED) from None
        entries = self._zip.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        is_bomb = unpacked > _RATIO_FROM_BYTES and unpacked > MAX_RATIO * len(content)
        if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or is_bomb:
            raise Unreadable(FailureReason.TOO_LARGE)
        if any(entry.flag_bits & _IS_ENCRYPTED for entry in entries):
            raise Unreadable(FailureReason.ENCRYPTED)
        self.names = [entry.filename for entry in entries]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        """An entry; b"" where there is none. At most as long as the entry says.

        Raises:
            Unreadable: `damaged`.
        """
        if name not in self.names:
            return b""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError):
            raise Unreadable(FailureReason.DAMAGED) from None


def parse_xml(
    data: bytes,
    on_start: Callable[[str, dict[str, str]], None],
    on_end: Callable[[str], None],
    on_text: Callable[[str], None],
) -> None:
    """Run through XML; names come without their namespaces.

    Raises:
        Unreadable: `damaged`: no XML, or one with a document type.
    """

    def refuse(*_: object) -> None:
        raise Unreadable(FailureReason.DAMAGED)

    def start(name: str, attributes: dict[str, str]) -> None:
        on_start(_local(name), {_local(key): value for key, value in attributes.items()})

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: on_end(_local(name))
    parser.CharacterDataHandler = on_text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):  # the last two: an encoding that nobody knows
        raise Unreadable(FailureReason.DAMAGED) from None


def _local(name: str) -> str:
    return name.rsplit(" ", 1)[-1]
