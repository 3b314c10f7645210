"""The file of policies: read, swapped, broken, gone and back."""

import json
import logging
import os
from pathlib import Path

import pytest
from chatbot.adapters.mounted.text import MOST_BYTES
from chatbot.adapters.tenants.file import PolicyFile, parse
from chatbot.domain.tenants.policy import PolicyState, Tenant

ACME = "tenants:\n- name: acme\n  suspended: true\n"


def mounted(folder: Path, text: str) -> Path:
    """A file as the kubelet mounts it: a link to a link, so that all of a ConfigMap changes in one step."""
    swap(folder, text, 1)
    link = folder / "tenants.yaml"
    link.symlink_to("..data/tenants.yaml")
    return link


def swap(folder: Path, text: str, number: int) -> None:
    """What the kubelet does with a new content."""
    data = folder / f"..{number}"
    data.mkdir()
    (data / "tenants.yaml").write_text(text)
    (folder / "..next").symlink_to(data.name)
    os.replace(folder / "..next", folder / "..data")


def test_what_a_person_writes_is_what_the_operator_writes() -> None:
    told = {"tenants": [{"name": "acme", "suspended": True}]}

    assert parse(ACME.encode()) == parse(json.dumps(told).encode()) == (Tenant(name="acme", is_suspended=True),)
    assert parse(b"") == parse(b"# nothing yet\n") == parse(b"tenants: []") == ()


def test_a_swapped_file_is_read(tmp_path: Path) -> None:
    policies = PolicyFile(mounted(tmp_path, ACME))
    first = policies.status

    policies.look()
    assert policies.status is first
    swap(tmp_path, '{"tenants": [{"name": "acme", "generation": 2}]}', 2)
    policies.look()

    assert (first.state, first.policies.of("acme").is_suspended) == (PolicyState.SERVING, True)
    assert (policies.of("acme").is_suspended, policies.of("acme").generation) == (False, 2)
    assert policies.status.digest not in ("", first.digest)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"tenants: [", "line 2: not YAML"),
        (b'{"tenants": [', "begins as JSON and is none"),
        (b"\xff\xfe", "not UTF-8"),
        (b"tenants:\n- name: acme\n  supended: true\n", "tenants[acme].supended: no such field"),
        (b"tenants:\n- name: acme\n  suspended: true\n  suspended: false\n", "line 4: suspended is there twice"),
        (b'{"tenants": [], "tenants": []}', "a field is there twice"),
        (b"tenants: !!python/object/apply:os.system [id]", "not YAML"),
        (b"[" * 400_000 + b"]" * 400_000, "nested too deeply"),  # ends a process that trusts libyaml
        (b"tenants: 2026-99-99", "put it in quotes"),
        (b"tenants: &a [*a]", "tenants[0]: an object"),
        (b'{"tenants": ' + b"[" * 200_000, "nested too deeply"),
        (b"#" * (MOST_BYTES + 1), "more than 1048576 bytes"),
    ],
    ids=range(12),
)
def test_a_broken_file_keeps_the_policies_that_were_read_before(
    content: bytes, named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(ACME)
    policies = PolicyFile(path)
    before = policies.status

    with caplog.at_level(logging.INFO):
        path.write_bytes(content)
        policies.look()
        policies.look()
    stale = policies.status
    path.write_text(ACME)
    policies.look()

    assert (stale.state, stale.digest, stale.since) == (PolicyState.STALE, before.digest, before.since)
    assert named in stale.message
    assert stale.policies.of("acme").is_suspended
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # once, not every second
    assert (policies.status.state, policies.status.message) == (PolicyState.SERVING, "")
    with pytest.raises(ValueError):
        parse(content)


def test_a_file_that_is_gone_lifts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(ACME)
    policies = PolicyFile(path)

    path.rename(tmp_path / "elsewhere")
    policies.look()
    gone = policies.status
    (tmp_path / "elsewhere").rename(path)
    policies.look()

    assert gone.state is PolicyState.STALE
    assert "the file is gone; bring it back" in gone.message
    assert gone.policies.of("acme").is_suspended
    assert policies.status.message == ""


def test_a_file_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    policies = PolicyFile(path)
    before = policies.status

    path.write_text(ACME)
    policies.look()

    assert (before.state, before.message, before.policies.all()) == (PolicyState.NONE, "", ())
    assert policies.of("acme").is_suspended


def test_a_broken_file_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants: 7")

    with pytest.raises(ValueError, match="CHATBOT_TENANTS_FILE: tenants: a list"):
        PolicyFile(path)


def test_a_file_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(ACME)
    policies = PolicyFile(path)

    path.unlink()
    path.mkdir()
    policies.look()
    unreadable = policies.status
    path.rmdir()
    path.write_text(ACME)
    policies.look()

    assert unreadable.state is PolicyState.STALE
    assert "cannot be read" in unreadable.message
    assert policies.status.state is PolicyState.SERVING


def test_without_a_setting_nothing_is_looked_at() -> None:
    policies = PolicyFile(None)
    policies.look()

    assert (policies.status.state, policies.of("acme")) == (PolicyState.NONE, Tenant())
