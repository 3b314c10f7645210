"""What `helm test` asks in the cluster, asked of real services on this machine."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.local_process import LocalProcess, local_process

SCRIPT = Path(__file__).parents[2] / "charts/chatbot/files/helm-test/ask.py"
SMALL = {"CHATBOT_QUEUE_MAX_WAITING": "2", "CHATBOT_ENGINE_SLOTS": "1"}


def ask(local: LocalProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    services = [f"--service={name}={local.gateway}/{name}" for name in ("office", "character")]
    return run(*services, f"--not-found={local.gateway}", *arguments)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, "--timeout-seconds=60", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    with local_process(tmp_path_factory.mktemp("helm-test"), **SMALL) as running:
        yield running


def test_it_chats_streams_lists_models_and_sees_a_refusal(local: LocalProcess) -> None:
    told = ask(local)

    assert told.returncode == 0, told.stdout + told.stderr
    lines = dict(line.split(": ok: ", 1) for line in told.stdout.splitlines())
    for service in ("office", "character"):
        assert lines[f"{service}: health"] == "alive and ready"
        assert lines[f"{service}: models"]
        assert lines[f"{service}: answer"].endswith("characters")
        assert int(lines[f"{service}: stream"].split()[0]) >= 1
        assert lines[f"{service}: refusal"].startswith("429, Retry-After ")
    assert lines["not found"] == "404 as page and as JSON"


def test_it_says_what_it_left_out_where_the_line_is_long(tmp_path: Path) -> None:
    with local_process(tmp_path) as local:
        told = ask(local)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "office: refusal: left out: it would take 518 requests at once" in told.stdout


def test_it_fails_where_nothing_answers() -> None:
    with socket.socket() as nobody:  # bound, but nobody listens
        nobody.bind(("127.0.0.1", 0))
        told = run(f"--not-found=http://127.0.0.1:{nobody.getsockname()[1]}")

    assert told.returncode == 1
    assert "not found: FAILED: " in told.stdout


def test_it_fails_where_a_path_is_no_services(local: LocalProcess) -> None:
    told = run(f"--service=office={local.gateway}/there-is-nothing", "--timeout-seconds=5")

    assert told.returncode == 1
    assert "office: health: FAILED: expected: /healthz answers 200" in told.stdout


def test_with_keys_it_asks_with_one_or_only_what_needs_none(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"test:{hashlib.sha256(b'secret').hexdigest()}\n")
    (tmp_path / "key").write_text("secret\n")
    with local_process(tmp_path, CHATBOT_AUTH_KEYS_FILE=str(tmp_path / "keys"), **SMALL) as local:
        with_key, without = ask(local, "--keys", f"--key-file={tmp_path}/key"), ask(local, "--keys")

    assert with_key.returncode == 0, with_key.stdout
    assert "office: answer: ok" in with_key.stdout
    assert without.returncode == 0, without.stdout
    assert "office: keys: ok: 401 without a key" in without.stdout and "answer" not in without.stdout
    assert "secret" not in with_key.stdout
