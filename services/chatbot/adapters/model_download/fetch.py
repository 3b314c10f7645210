"""Brings a model file here: tries, resumes, checks, publishes."""

import errno
import fcntl
import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx2

from chatbot.adapters.model_download.answer import Answer, Verdict, judge
from chatbot.adapters.model_download.partial import Partial
from chatbot.adapters.model_download.terms import DEFAULT_POLICY, DownloadFailed, DownloadPolicy, Phase, Progress

_GGUF_MAGIC = b"GGUF"
_CHUNK_BYTES = 1 << 20


def folder_of(url: str, cache: Path) -> Path:
    """Where the file of a URL lives: `<cache>/<16 hex of the URL's sha256>`."""
    return cache / hashlib.sha256(url.encode()).hexdigest()[:16]


def sha256_of(path: Path, on_progress: Callable[[Progress], None] = lambda _: None) -> str:
    """The file's sum, 64 hex characters. Reads all of it."""
    digest, done_bytes, total_bytes = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done_bytes += len(chunk)
            on_progress(Progress(Phase.VERIFY, done_bytes, total_bytes))
    return digest.hexdigest()


def download(
    url: str,
    cache: Path,
    *,
    sha256: str = "",
    on_progress: Callable[[Progress], None] = lambda _: None,
    policy: DownloadPolicy = DEFAULT_POLICY,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring the file of a URL into the cache, unless it is there. Blocks; safe to interrupt and to repeat.

    Args:
        url: http or https, without credentials.
        cache: Folder of all downloads.
        sha256: Expected sum, 64 hex characters; "" checks nothing but the size and that it is a GGUF file.
        on_progress: Called after each piece.
        policy: Bounds.
        sleep: Waits between tries.

    Returns:
        Path of the whole file.

    Raises:
        DownloadFailed: With the remedy. Never leaves a file under the returned name that is not whole.
    """
    parsed = _checked(url)
    folder = folder_of(url, cache)
    target = folder / _file_name(parsed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not target.is_file():
                _Fetch(parsed, target, on_progress, policy, sleep).run()
                _verify(Partial(target).path, sha256, on_progress, Partial(target).discard)
                Partial(target).publish(target)
            else:
                _verify(target, sha256, on_progress, lambda: target.unlink(missing_ok=True))
    except OSError as exc:
        raise DownloadFailed(_disk_trouble(exc, folder)) from exc
    return target


class _Fetch:
    """One file on its way into its partial."""

    def __init__(
        self,
        url: httpx2.URL,
        target: Path,
        on_progress: Callable[[Progress], None],
        policy: DownloadPolicy,
        sleep: Callable[[float], None],
    ) -> None:
        self._url = url
        self._partial = Partial(target)
        self._on_progress = on_progress
        self._policy = policy
        self._sleep = sleep
        self._reason = "the server hangs up"
        self._wait_seconds = 0.0

    def run(self) -> None:
        """Try until the partial is whole.

        Raises:
            DownloadFailed: Nothing came for too many tries, or it can never come.
        """
        timeout = httpx2.Timeout(self._policy.stall_seconds, connect=min(20.0, self._policy.stall_seconds))
        fruitless, best_bytes = 0, self._size()
        with httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client:
            for _ in range(self._policy.most_tries):
                if self._try(client):
                    return
                fruitless = 0 if self._size() > best_bytes else fruitless + 1
                best_bytes = max(best_bytes, self._size())
                if fruitless >= self._policy.fruitless_tries:
                    break
                self._pause(fruitless)
        raise DownloadFailed(f"{self._reason}; run it again later: what came so far is kept")

    def _try(self, client: httpx2.Client) -> bool:
        """One request; whether the file is whole now."""
        kept_bytes, kept = self._partial.kept_bytes, self._partial.version
        headers = {"Accept-Encoding": "identity"}
        if kept_bytes:
            headers |= {"Range": f"bytes={kept_bytes}-", "If-Range": kept.validator}
        self._wait_seconds = 0.0
        try:
            with client.stream("GET", self._url, headers=headers) as response:
                if self._url.scheme == "https" and response.url.scheme != "https":
                    raise DownloadFailed("the server leads from https to http: give an address that stays with https")
                return self._take(response, judge(response, kept_bytes, kept), kept_bytes)
        except httpx2.TimeoutException:
            self._reason = "the server does not answer or stalls"
        except (httpx2.ConnectError, httpx2.NetworkError):
            self._reason = "the server cannot be reached or hangs up"
        except httpx2.TooManyRedirects:
            raise DownloadFailed("the server leads in circles: check the address") from None
        except httpx2.HTTPError:
            self._reason = "the server breaks off or speaks no HTTP"
        return False

    def _take(self, response: httpx2.Response, answer: Answer, kept_bytes: int) -> bool:
        match answer.verdict:
            case Verdict.COMPLETE:
                return True
            case Verdict.NEVER:
                raise DownloadFailed(f"{answer.reason}: download it by hand and give its path")
            case Verdict.LATER:
                self._reason, self._wait_seconds = answer.reason, answer.wait_seconds
                return False
            case Verdict.START_OVER:
                self._partial.discard()
                self._reason = "the server changes or contradicts itself"
                return False
            case Verdict.GO_ON:
                file = self._partial.go_on()
            case Verdict.FROM_START:
                kept_bytes = 0
                file = self._partial.begin(answer.version)
        with file:
            return self._write(response, file, kept_bytes, answer.version.total_bytes)

    def _write(self, response: httpx2.Response, file: BinaryIO, done_bytes: int, total_bytes: int | None) -> bool:
        self._check_space(done_bytes, total_bytes)
        for chunk in response.iter_raw():  # as it comes: a buffer would be lost with the connection
            if total_bytes is not None and done_bytes + len(chunk) > total_bytes:
                self._partial.discard()
                self._reason = "the server sends more than it announced"
                return False
            if done_bytes < len(_GGUF_MAGIC):
                self._check_magic(chunk if not done_bytes else b"")
            file.write(chunk)
            done_bytes += len(chunk)
            self._on_progress(Progress(Phase.DOWNLOAD, done_bytes, total_bytes))
            if total_bytes is None:
                self._check_space(done_bytes, None)
        return done_bytes == total_bytes if total_bytes is not None else done_bytes > len(_GGUF_MAGIC)

    def _check_magic(self, start: bytes) -> None:
        if _GGUF_MAGIC.startswith(start[: len(_GGUF_MAGIC)]):
            return
        self._partial.discard()
        page = start[:512].lstrip()[:1] == b"<"
        hint = " but a web page: on huggingface.co, take the address with /resolve/, not /blob/" if page else ""
        raise DownloadFailed(f"it is no GGUF file{hint}")

    def _check_space(self, done_bytes: int, total_bytes: int | None) -> None:
        missing_bytes = (total_bytes or done_bytes) - done_bytes
        free_bytes = shutil.disk_usage(self._partial.path.parent).free
        if free_bytes < missing_bytes + self._policy.spare_bytes:
            gib = [size / 2**30 for size in (missing_bytes + self._policy.spare_bytes, free_bytes)]
            raise DownloadFailed(f"it needs {gib[0]:.1f} GiB of disk space and {gib[1]:.1f} GiB are free: make room")

    def _size(self) -> int:
        try:
            return self._partial.path.stat().st_size
        except OSError:
            return 0

    def _pause(self, fruitless: int) -> None:
        longest = min(30.0, self._policy.first_delay_seconds * 2 ** max(0, fruitless - 1))
        seconds = max(self._wait_seconds, longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        trouble = f"{self._reason}; trying again in {seconds:.0f} s"
        self._on_progress(Progress(Phase.DOWNLOAD, self._size(), self._partial.version.total_bytes, trouble))
        self._sleep(seconds)


def _checked(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as exc:
        raise DownloadFailed("the address is no URL") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > 65535:
        raise DownloadFailed("the address must be http://host/… or https://host/…")
    if parsed.userinfo:
        raise DownloadFailed("the address must not hold a user name or password")
    return parsed


def _file_name(url: httpx2.URL) -> str:
    """The URL's own file name where it is a plain one; a model's name is shown to clients."""
    name = url.path.rsplit("/", 1)[-1]
    is_plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return name if is_plain and name.endswith(".gguf") and len(name) <= 120 else "model.gguf"


def _verify(path: Path, sha256: str, on_progress: Callable[[Progress], None], discard: Callable[[], None]) -> None:
    with path.open("rb") as file:
        if file.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
            discard()
            raise DownloadFailed("it is no GGUF file")
    if not sha256:
        return
    actual = sha256_of(path, on_progress)
    if actual != sha256.lower():
        discard()
        raise DownloadFailed(f"its sha256 is {actual}, not the one that was given; it was deleted")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time. The lock goes with the process, however that ends."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DownloadFailed("another process downloads it: wait for that one") from None
    finally:
        os.close(lock)


def _disk_trouble(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: make room and run it again; what came so far is kept"
    return f"{folder} cannot be written ({error.strerror}): check its permissions"
