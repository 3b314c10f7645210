from pathlib import Path

import httpx2
import pytest
from chatbot.adapters.model_download import DownloadFailed, download, folder_of
from chatbot.adapters.model_download.answer import Verdict, judge
from chatbot.adapters.model_download.partial import Partial, Version

KEPT = Version('"one"', 100)


def answer(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answer(200, content_length="100", etag='"two"'), Verdict.FROM_START),
        (answer(200, transfer_encoding="chunked"), Verdict.FROM_START),
        (answer(200), Verdict.NEVER),
        (answer(200, content_length="100", content_encoding="gzip"), Verdict.NEVER),
        (answer(206, content_range="bytes 40-99/100"), Verdict.GO_ON),
        (answer(206, content_range="bytes 40-99/100", etag='"one"'), Verdict.GO_ON),
        (answer(206, content_range="bytes 40-59/100", etag='"one"'), Verdict.GO_ON),
        (answer(206, content_range="bytes 40-99/*", etag='"one"'), Verdict.GO_ON),
        (answer(206, content_range="bytes 40-99/100", etag='"two"'), Verdict.START_OVER),
        (answer(206, content_range="bytes 41-99/100"), Verdict.START_OVER),
        (answer(206, content_range="bytes 0-99/100"), Verdict.START_OVER),
        (answer(206, content_range="bytes 40-100/101"), Verdict.START_OVER),
        (answer(206, content_range="bytes 40-100/100"), Verdict.START_OVER),
        (answer(206, content_range="bytes 40-39/100"), Verdict.START_OVER),
        (answer(206, content_range="bytes 40-9999999999999999999/100"), Verdict.START_OVER),
        (answer(206), Verdict.START_OVER),
        (answer(416, content_range="bytes */100"), Verdict.START_OVER),
        (answer(416), Verdict.START_OVER),
        (answer(429, retry_after="7"), Verdict.LATER),
        (answer(503), Verdict.LATER),
        (answer(404), Verdict.NEVER),
        (answer(401), Verdict.NEVER),
        (answer(304), Verdict.NEVER),
    ],
    ids=lambda value: value.name if isinstance(value, Verdict) else f"{value.status_code} {dict(value.headers)}",
)
def test_answer_is_believed_only_where_it_fits(response: httpx2.Response, expected: Verdict) -> None:
    assert judge(response, 40, KEPT).verdict is expected


def test_part_that_nobody_asked_for_is_not_taken() -> None:
    assert judge(answer(206, content_range="bytes 0-99/100"), 0, Version()).verdict is Verdict.START_OVER


def test_nothing_is_missing_when_the_range_begins_at_the_end() -> None:
    assert judge(answer(416, content_range="bytes */100"), 100, KEPT).verdict is Verdict.COMPLETE


def test_weak_validator_is_not_used() -> None:
    assert judge(answer(200, content_length="9", etag='W/"one"'), 0, Version()).version.validator == ""
    dated = answer(200, content_length="9", etag='W/"one"', last_modified="Sat, 21 Nov 2026 00:00:00 GMT")
    assert judge(dated, 0, Version()).version.validator == "Sat, 21 Nov 2026 00:00:00 GMT"


@pytest.mark.parametrize("note", ["", "{", "[]", '{"validator": 1, "total_bytes": 2}', '{"validator": "x"}'])
def test_part_of_an_unknown_version_is_not_gone_on_from(tmp_path: Path, note: str) -> None:
    (tmp_path / "m.gguf.partial").write_bytes(b"x" * 10)
    (tmp_path / "m.gguf.partial.json").write_text(note)

    assert Partial(tmp_path / "m.gguf").kept_bytes == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "model.gguf",
        "file:///etc/passwd",
        "ftp://127.0.0.1/m.gguf",
        "http://",
        "http://user:secret@127.0.0.1/m.gguf",
        "http://[::1/m.gguf",
        "http://127.0.0.1:99999999/m.gguf",
    ],
)
def test_address_that_cannot_be_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadFailed) as refused:
        download(url, tmp_path)

    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_folder_depends_on_the_whole_address(tmp_path: Path) -> None:
    folders = {folder_of(f"http://h/m.gguf?{query}", tmp_path) for query in ("a", "b", "../..")}

    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {tmp_path}
