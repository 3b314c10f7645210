"""docs/operations.md on one machine: its commands, run as they stand there, on services that run."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import jwt
import pytest
from parts.local_process import LocalProcess, local_process
from parts.manual import commands, follow, names

USER = "김 user/1"
IN_CLUSTER = {"change", "move-in", "move-out", "rotate-cluster", "undo"}
"""Run by tests/cluster/test_manual.py."""
READ = {"tenants"}
"""Files, read by tests/contract/test_crd_tenants.py."""


@contextmanager
def asked(folder: Path, store: Path, **variables: str) -> Iterator[tuple[LocalProcess, httpx2.Client]]:
    """Services on a store, and a client of the office."""
    with local_process(folder, CHATBOT_HISTORY_SQLITE_PATH=str(store), **variables) as local:
        with httpx2.Client(base_url=f"{local.gateway}/office", timeout=60, trust_env=False) as client:
            yield local, client


def tell(client: httpx2.Client, db_id: str, user: str = USER, **headers: str) -> httpx2.Response:
    question = {"input_data": "안녕하세요!", "user_id": user, "db_id": db_id}
    return client.post("/Llama", json=question, headers=headers)


def listed(client: httpx2.Client, user: str = USER, **headers: str) -> list[str]:
    answer = client.get("/conversations", params={"limit": 100}, headers={"X-User-ID": quote(user), **headers})
    assert answer.status_code == 200, answer.text
    return [one["db_id"] for one in answer.json()["conversations"]]


def test_a_user_is_erased_and_nobody_else(tmp_path: Path) -> None:
    with asked(tmp_path, tmp_path / "store.sqlite3") as (_, client):
        for number in range(3):
            assert tell(client, f"d{number}").status_code == 200
        assert tell(client, "d0", user="somebody").status_code == 200

        follow("erase", tmp_path, USER_ID=quote(USER), URL=str(client.base_url).rstrip("/"))

        assert listed(client) == []
        assert listed(client, "somebody") == ["d0"]


def test_a_key_is_rotated_without_a_gap_and_conversations_stay(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"team-a:{hashlib.sha256(b'old').hexdigest()}\n")
    old = {"Authorization": "Bearer old"}
    with asked(tmp_path, tmp_path / "store.sqlite3", CHATBOT_AUTH_KEYS_FILE=str(keys)) as (_, client):
        assert tell(client, "d", **old).status_code == 200

        follow("rotate", tmp_path, OVERLAP="1 hour")
        new = {"Authorization": f"Bearer {(tmp_path / 'team-a.key').read_text().strip()}"}
        assert listed(client, **old) == listed(client, **new) == ["d"]

        keys.write_text((tmp_path / "keys.before").read_text())
        follow("rotate", tmp_path, OVERLAP="-1 second")
        newest = {"Authorization": f"Bearer {(tmp_path / 'team-a.key').read_text().strip()}"}
        assert tell(client, "d", **old).status_code == 401
        assert listed(client, **newest) == ["d"]
        follow("erase", tmp_path, USER_ID=quote(USER), URL=str(client.base_url).rstrip("/"),
               AUTHORIZATION=newest["Authorization"])  # fmt: skip
        assert listed(client, **newest) == []


def test_a_key_of_the_store_is_made_rotated_and_revoked(tmp_path: Path, figures: Callable[..., None]) -> None:
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    places = {
        "CHATBOT_AUTH_PEPPER_FILE": str(tmp_path / "pepper"),
        "CHATBOT_AUTH_SQLITE_PATH": str(tmp_path / "keys.sqlite3"),
        "CHATBOT_AUTH_ADMIN_API": "true",
    }
    typed = {**places, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with asked(tmp_path, tmp_path / "store.sqlite3", **places) as (local, client):
        _follow_admin(local, client, tmp_path, typed)
        old = follow("key", tmp_path, **typed).strip()
        new = follow("key-rotate", tmp_path, KEY_ID=old[4:16], **typed).strip()
        for key in (old, new):
            assert tell(client, "d", Authorization=f"Bearer {key}").status_code == 200
            assert listed(client, **{"X-API-Key": key}) == ["d"]

        assert follow("usage", tmp_path, KEY=new, URL=str(client.base_url).rstrip("/")).startswith(
            "day,key,model,requests,prompt_tokens,cached_tokens,completion_tokens,tool_calls,cost_usd"
        )

        follow("key-limit", tmp_path, KEY_ID=new[4:16], **typed)
        limited = time.monotonic()
        while not client.get("/key", headers={"X-API-Key": new}).json()["limits"]:
            assert time.monotonic() - limited < 60, "a minute is far more than the ten seconds that are promised"
            time.sleep(0.05)
        assert "requests-minute" in tell(client, "d", Authorization=f"Bearer {new}").headers["ratelimit-policy"]

        _follow_signer(client, tmp_path, typed)

        follow("key-revoke", tmp_path, KEY_ID=old[4:16], **typed)
        revoked = time.monotonic()
        while client.get("/key", headers={"X-API-Key": old}).status_code == 200:
            assert time.monotonic() - revoked < 60, "a minute is far more than the ten seconds that are promised"
            time.sleep(0.05)
        figures(seconds_to_refusal=round(time.monotonic() - revoked, 2))

        assert client.get("/key", headers={"X-API-Key": new}).json()["id"] == new[4:16]
        assert all(key not in local.said() for key in (old, new))
        local.interrupt()  # the last use of keys is written at the end, too

    told = subprocess.run(
        ["chatbot-keys", "list", "--json"],  # noqa: S607
        env={**os.environ, **typed},
        check=True,
        capture_output=True,
        text=True,
    )
    shown = {line["id"]: line for line in map(json.loads, told.stdout.splitlines())}
    assert (shown[old[4:16]]["state"], shown[new[4:16]]["state"]) == ("revoked", "valid")
    assert "-" not in (shown[old[4:16]]["last_used_at"], shown[new[4:16]]["last_used_at"])


def _follow_signer(client: httpx2.Client, folder: Path, typed: dict[str, str]) -> None:
    """A key for browsers opens with a token, and with nothing else."""
    key = follow("signer", folder, **typed).strip()
    claims = {"sub": "u1", "aud": "team-a", "exp": time.time() + 600}
    named = jwt.encode(claims, (folder / "user.key").read_text(), algorithm="EdDSA")
    seen = client.get("/key", headers={"X-API-Key": key, "X-User-Token": named}).json()
    assert (seen["user"], seen["user_from"]) == ("u1", "token")
    assert client.get("/key", headers={"X-API-Key": key}).json()["code"] == "user_token_invalid"


def _follow_admin(local: LocalProcess, client: httpx2.Client, folder: Path, typed: dict[str, str]) -> None:
    """A key that is made over HTTP opens, and the gateway leads to no administration."""
    assert tell(client, "d").status_code == 401
    made = json.loads(follow("admin", folder, INTERNAL=local.internal, **typed))
    assert tell(client, "d", Authorization=f"Bearer {made['key']}").status_code == 200
    assert httpx2.get(f"{local.internal}/admin/keys", trust_env=False).status_code == 401
    assert {client.get(path).status_code for path in ("/admin/keys", f"{local.gateway}/admin/keys")} == {404}


def test_a_backup_made_while_it_runs_is_restored(tmp_path: Path) -> None:
    store, backup = tmp_path / "store.sqlite3", tmp_path / "backup.sqlite3"
    places = {"STORE": str(store), "BACKUP": str(backup)}
    with asked(tmp_path, store) as (_, client):
        assert tell(client, "before").status_code == 200
        follow("sqlite-backup", tmp_path, **places)
        assert tell(client, "after").status_code == 200

    follow("sqlite-restore", tmp_path, **places)

    with asked(tmp_path, store) as (_, client):
        assert listed(client) == ["before"]
        assert tell(client, "before").status_code == 200


def test_characters_of_a_file_are_played_beside_each_other(tmp_path: Path) -> None:
    file = tmp_path / "characters.yaml"
    with asked(tmp_path, tmp_path / "store.sqlite3", CHATBOT_CHARACTERS_FILE=str(file)) as (local, _):
        told = follow("characters", tmp_path, CHARACTERS_FILE=str(file), URL=f"{local.gateway}/character",
                      METRICS_URL=local.internal)  # fmt: skip

    page = json.loads(told)["characters"]
    assert {name: (one["language"], one["problem"], one["notes"]) for name, one in page.items()} == {
        "nabi": ("ko", "", []), "reed": ("en", "", []),
    }  # fmt: skip


def test_every_marked_block_is_run_by_a_test() -> None:
    assert names() == IN_CLUSTER | READ | {
        "admin", "characters", "erase", "key", "key-limit", "key-revoke", "key-rotate", "rotate", "signer",
        "sqlite-backup", "sqlite-restore", "usage",
    }  # fmt: skip
    with pytest.raises(IndexError):
        commands("no such block")
