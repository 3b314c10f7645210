"""Load tests against real services, and against targets that are none."""

import csv
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from chatbot_loadtest.results.records import COLUMNS
from chatbot_loadtest.users.questions import FOLLOW_UPS, OPENINGS
from parts.load_run import load_run
from parts.local_process import local_process


class Refusing(http.server.BaseHTTPRequestHandler):
    """Says who it is, and answers no question."""

    def do_GET(self) -> None:
        self._say(200, {"model": {"name": "stub"}, "version": "0"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say(500, {"code": "internal", "detail": "secret text"})

    def _say(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # its default of 5 resets connections of a crowd


class Stranger(Refusing):
    """Some other web server."""

    def do_GET(self) -> None:
        self._say(200, "hello")


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def assert_one_line(said: str, *words: str) -> None:
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words)


def test_a_run_leaves_a_row_for_each_attempt_a_summary_and_a_report(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    (tmp_path / "home").mkdir()
    with local_process(tmp_path / "home") as local:
        done = load_run(
            tmp_path / "out",
            local.gateway,
            f"--seconds={scale(6, 60)}",
            "--think-seconds", "0.2", "0.5",
            "--require=success_share>=1",
            "--require=connection_errors<=0",
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "out/requests.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    figures(**{name: summary["figures"][name] for name in ("requests", "p95_seconds", "first_token_p95_seconds")})
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == summary["attempts"]
    assert {row["test_type"] for row in rows} == {"office", "character", "office_stream", "character_stream"}
    assert summary["about"]["cut_off_requests"] == 0
    content = (tmp_path / "out/requests.csv").read_text()
    assert [text for text in (*OPENINGS, *FOLLOW_UPS) if text in content] == []
    assert "vegaEmbed" in (tmp_path / "out/report.html").read_text()


def test_a_wrong_key_is_said_at_once_and_a_right_one_gets_in(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    keys = tmp_path / "keys"
    keys.write_text(f"load:{sha256(b'right').hexdigest()}\n")
    with local_process(tmp_path / "home", CHATBOT_AUTH_KEYS_FILE=str(keys)) as local:
        wrong = load_run(tmp_path / "a", local.gateway, CHATBOT_LOADTEST_KEY="wrong")
        right = load_run(tmp_path / "b", local.gateway, "--seconds=2", CHATBOT_LOADTEST_KEY="right")

    assert wrong.returncode == 2
    assert_one_line(wrong.stderr, "401", "CHATBOT_LOADTEST_KEY")
    assert right.returncode == 0, right.stderr


def test_a_broken_service_fails_the_run_and_names_the_threshold(tmp_path: Path) -> None:
    with serving(Refusing) as url:
        done = load_run(tmp_path, url, "--seconds=3", "--require=success_share>=0.9")

    assert done.returncode == 1
    assert "MISSED  threshold success_share>=0.9: measured 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret text" not in (tmp_path / "requests.csv").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["outcomes"].keys() == {"internal"}


def test_a_target_that_is_down_is_said_in_one_line(tmp_path: Path) -> None:
    done = load_run(tmp_path, f"http://127.0.0.1:{unused_port()}")

    assert done.returncode == 2
    assert_one_line(done.stderr, "nobody answers", "make run")


def test_an_address_of_something_else_is_said_in_one_line(tmp_path: Path) -> None:
    with serving(Stranger) as url:
        done = load_run(tmp_path, url)

    assert done.returncode == 2
    assert_one_line(done.stderr, "not as a chat service does")


def test_a_port_without_tls_is_said_in_one_line(tmp_path: Path) -> None:
    with serving(Stranger) as url:
        done = load_run(tmp_path, url.replace("http://", "https://"))

    assert done.returncode == 2
    assert_one_line(done.stderr, "TLS failed")


@pytest.mark.parametrize("url", ["localhost:8001", "ftp://x", "http://", "http://me:secret@host"])
def test_what_is_no_url_is_said_in_one_line_without_its_text(tmp_path: Path, url: str) -> None:
    done = load_run(tmp_path, url)

    assert done.returncode == 2
    assert_one_line(done.stderr, "http://host[:port]")
    assert "secret" not in done.stderr
