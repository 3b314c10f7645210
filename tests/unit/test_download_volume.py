"""What is deleted, what is published, what is refused for want of space."""

import json
import os
from pathlib import Path

import pytest
from chatbot_operator.download.faults import NoSpace
from chatbot_operator.download.volume import RevisionRecord, Volume

NOW = 1_000_000_000.0
HOUR = 3600.0
SHA = "ab" * 32


def revision(root: Path, name: str, age_seconds: float = HOUR, *, whole: bool = True) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"GGUF")
    if whole:
        record = folder / "revision.json"
        record.write_text("{}")
        os.utime(record, (NOW - age_seconds, NOW - age_seconds))
    return folder


def partial(root: Path, key: str, age_seconds: float = HOUR) -> Path:
    folder = root / ".partial" / key
    folder.mkdir(parents=True)
    file = folder / "model.gguf"
    file.write_bytes(b"x")
    for entry in (file, folder):
        os.utime(entry, (NOW - age_seconds, NOW - age_seconds))
    return folder


def test_deletes_only_what_nobody_names(tmp_path: Path) -> None:
    kept = revision(tmp_path, "a" * 16)
    unused = revision(tmp_path, "b" * 16)

    deleted = Volume(tmp_path, NOW).delete_unused(["a" * 16], [])

    assert deleted == ["b" * 16]
    assert kept.exists() and not unused.exists()


def test_young_revision_and_foreign_folders_stay(tmp_path: Path) -> None:
    young = revision(tmp_path, "c" * 16, age_seconds=60)
    unfinished = revision(tmp_path, "d" * 16, whole=False)
    foreign = revision(tmp_path, "lost+found")

    Volume(tmp_path, NOW).delete_unused([], [])

    assert young.exists() and unfinished.exists() and foreign.exists()


def test_partials_go_when_unnamed_or_a_week_old(tmp_path: Path) -> None:
    named, unnamed = partial(tmp_path, "named"), partial(tmp_path, "unnamed")
    old = partial(tmp_path, "old", age_seconds=8 * 86400)

    Volume(tmp_path, NOW).delete_unused([], ["named", "old"])

    assert named.exists() and not unnamed.exists() and not old.exists()


def test_refuses_before_the_first_byte_when_the_rest_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(NoSpace) as refusal:
        Volume(tmp_path).require_space(1 << 60)

    assert refusal.value.exit_status == 66
    assert "spec.storage.size" in str(refusal.value)


def test_twin_that_was_faster_is_success(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    record = RevisionRecord(SHA, 4, "https://example.org/a.gguf", "llama")
    for key in ("first", "second"):
        folder = volume.partial(key)
        (folder / "model.gguf").write_bytes(b"GGUF")
        volume.publish(folder, record)

    assert volume.published(SHA) == record
    assert not list((tmp_path / ".partial").iterdir())


def test_record_of_another_size_is_not_whole(tmp_path: Path) -> None:
    folder = revision(tmp_path, SHA[:16])
    (folder / "revision.json").write_text(
        json.dumps({"sha256": SHA, "size_bytes": 5, "url": "u", "architecture": "llama"})
    )

    assert Volume(tmp_path).published(SHA) is None
