"""`hf://`, `https://` and `pvc://` addresses, read strictly."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from chatbot_operator.download.faults import Reason, Refused

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HF = re.compile(rf"hf://({_NAME})/({_NAME})/([^@?#\s]+\.gguf)(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,127}}))?")
_PVC = re.compile(r"pvc://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)/([^?#\s]+\.gguf)")
_SPLIT_FILE = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A file behind HTTP. `token_host` alone ever sees the token."""

    url: str
    token_host: str


@dataclass(frozen=True, slots=True)
class MountedSource:
    """A file on another claim, mounted read-only by the Job."""

    claim: str
    path: PurePosixPath

    def file(self, mount: Path) -> Path:
        """The file below `mount`, symbolic links resolved.

        Raises:
            Refused: It lies outside the mount or does not exist.
        """
        root = mount.resolve()
        file = (root / self.path).resolve()
        if not file.is_relative_to(root):
            raise Refused(Reason.NOT_ALLOWED, "The pvc:// path leads out of its claim; name a file inside it.")
        if not file.is_file():
            raise Refused(Reason.NOT_FOUND, "There is no such file on the claim; check the path after pvc://claim/.")
        return file


def parse(url: str, *, hf_endpoint: str = "https://huggingface.co") -> RemoteSource | MountedSource:
    """Read an address.

    Args:
        url: `hf://owner/repository/file.gguf[@revision]`, `https://host/path` or `pvc://claim/file.gguf`.
        hf_endpoint: Base address of the Hugging Face hub or of its mirror, `http` or `https`.

    Raises:
        Refused: It is none of the three, has credentials in it, or names one part of a split file.
    """
    if _SPLIT_FILE.search(url.split("@")[0].split("?")[0]):
        raise Refused(Reason.BAD_URL, "Split files (-00001-of-…) are not supported; merge them with llama-gguf-split.")
    if match := _HF.fullmatch(url):
        return _hugging_face(match, hf_endpoint.rstrip("/"))
    if match := _PVC.fullmatch(url):
        return MountedSource(match[1], _safe_path(match[3]))
    return _plain(url)


def _hugging_face(match: re.Match[str], endpoint: str) -> RemoteSource:
    owner, repository, file, revision = match[1], match[2], match[3], match[4] or "main"
    path = quote(str(_safe_path(file)))
    return _plain(f"{endpoint}/{owner}/{repository}/resolve/{quote(revision, safe='')}/{path}", ("http", "https"))


def _safe_path(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "%" in text:
        raise Refused(Reason.BAD_URL, "The path may not be absolute, climb with '..' or be percent-encoded.")
    return path


def _plain(url: str, schemes: tuple[str, ...] = ("https",)) -> RemoteSource:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise Refused(Reason.BAD_URL, "The address must be hf://owner/repository/file.gguf, https://… or pvc://…")
    if parts.username or parts.password:
        raise Refused(Reason.BAD_URL, "Credentials do not belong into the address; name a Secret in secretRef.")
    return RemoteSource(url, parts.hostname)
