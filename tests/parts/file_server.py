"""A file server on loopback that keeps to HTTP, or lies in a way that a test names.

Each request takes the next act of the script; when the script is over the server is honest.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"one"'


@dataclass(frozen=True, slots=True)
class Act:
    """How one request is answered; the fields combine.

    Attributes:
        status: Answer only this status.
        location: With a status of 3xx.
        ignores_range: 200 and the whole file, whatever was asked.
        shifts_range: A 206 whose Content-Range begins so many bytes later than asked.
        cut_after: Close the connection after so many bytes of the body.
        stall_after: Send nothing more after so many bytes, until the server is closed.
        flips_byte: Change the byte at this position of the file.
        etag: None sends no validator at all.
        encoding: Claims this Content-Encoding.
    """

    status: int = 0
    location: str = ""
    ignores_range: bool = False
    shifts_range: int = 0
    cut_after: int | None = None
    stall_after: int | None = None
    flips_byte: int | None = None
    etag: str | None = ETAG
    encoding: str = ""


@dataclass
class FileServer:
    """What it serves, what it will do, what it was asked."""

    content: bytes
    script: list[Act] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    bytes_sent: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Address of the file."""
        return f"http://127.0.0.1:{self.port}/model.gguf"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        files = self.server.files
        files.requests.append({key.lower(): value for key, value in self.headers.items()})
        act = files.script.pop(0) if files.script else Act()
        if act.status:
            self._status_only(act)
        else:
            self._file(act, files)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.files.content)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", ETAG)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _status_only(self, act: Act) -> None:
        self.send_response(act.status)
        if act.location:
            self.send_header("Location", act.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, act: Act, files: FileServer) -> None:
        content = files.content
        if act.flips_byte is not None:
            flipped = bytearray(content)
            flipped[act.flips_byte] ^= 0xFF
            content = bytes(flipped)
        start = self._asked_start(act)
        if start >= len(content) > 0 and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._head(act, start, len(content))
        self._body(act, files, content[start:])

    def _asked_start(self, act: Act) -> int:
        span = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if act.ignores_range or not span or (condition is not None and condition != act.etag):
            return 0
        return int(span.removeprefix("bytes=").split("-")[0])

    def _head(self, act: Act, start: int, size: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start + act.shifts_range}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        if act.etag is not None:
            self.send_header("ETag", act.etag)
        if act.encoding:
            self.send_header("Content-Encoding", act.encoding)
        self.end_headers()

    def _body(self, act: Act, files: FileServer, body: bytes) -> None:
        end = min(limit for limit in (act.cut_after, act.stall_after, len(body)) if limit is not None)
        try:
            for start in range(0, end, 16384):
                self.wfile.write(body[start : min(end, start + 16384)])
                files.bytes_sent += min(end, start + 16384) - start
        except OSError:
            return
        if act.stall_after is not None:
            files.closing.wait(60)
        if end < len(body):
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: FileServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files


@contextmanager
def serve_file(content: bytes, *acts: Act) -> Iterator[FileServer]:
    """Serve `content` on a free port of 127.0.0.1, following `acts` first."""
    files = FileServer(content, list(acts))
    server = _Server(files)
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield files
    finally:
        files.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
