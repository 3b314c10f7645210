"""A service as a process whose curated characters are swapped as the kubelet swaps them: played, listed, read-only."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from parts.stub_office import Stub, StubOffice, stub_office

NABI: Mapping[str, Any] = {"name": "nabi", "uid": "u", "generation": 1, "displayName": "나비", "description": "고양이"}


def swap(folder: Path, *entries: Mapping[str, Any]) -> None:
    """What the kubelet does with a new content: a folder of its own, and one link that is renamed."""
    data = folder / f"..{time.time_ns()}"
    data.mkdir()
    (data / "characters.yaml").write_text(json.dumps({"characters": entries}, ensure_ascii=False))
    (folder / "..next").symlink_to(data.name)
    os.replace(folder / "..next", folder / "..data")


def until(found: Callable[[], Any], wanted: Any) -> float:
    """Seconds until something is as it shall be."""
    began = time.monotonic()
    while (seen := found()) != wanted:
        assert time.monotonic() - began < 60, seen
        time.sleep(0.1)
    return round(time.monotonic() - began, 1)


def client(office: StubOffice) -> httpx.Client:
    headers = {"Accept-Language": "en"}
    return httpx.Client(base_url=office.url, headers=headers, timeout=60, trust_env=False)


def page(office: StubOffice) -> dict[str, Any]:
    told = httpx.get(f"http://127.0.0.1:{office.metrics_port}/characters", timeout=60, trust_env=False).json()
    return dict(told)


def names(asked: httpx.Client) -> list[str]:
    return [one["id"] for one in asked.get("/v1/models").json()["data"] if one["id"].startswith("character/")]


def played(folder: Path) -> list[str]:
    """The revisions that the turns of the one conversation were played with, oldest first."""
    with sqlite3.connect(folder / "history.sqlite3") as connection:
        return [row[0] for row in connection.execute("SELECT character FROM turns ORDER BY rowid")]


@contextmanager
def serving(folder: Path, mounted: Path) -> Iterator[tuple[StubOffice, httpx.Client, Path]]:
    """The service character, somebody who asks it, and the folder of its file; beside SQLite's it needs no setting."""
    mounted.mkdir(exist_ok=True)
    (mounted / "characters.yaml").symlink_to("..data/characters.yaml")
    settings = {} if mounted == folder else {"CHATBOT_CHARACTERS_FILE": str(mounted / "characters.yaml")}
    with stub_office(folder, Stub(service="character"), settings) as office, client(office) as asked:
        yield office, asked, mounted


def test_a_running_service_plays_what_the_kubelet_brings(tmp_path: Path, figures: Callable[..., None]) -> None:
    line = {
        "input_data": "안녕?",
        "character_name": "nabi",
        "greeting": "",
        "context": "",
        "user_id": "u",
        "db_id": "d",
    }
    with serving(tmp_path, tmp_path / "mounted") as (office, asked, mounted):
        before = names(asked), page(office)["state"]
        swap(mounted, NABI)
        came = until(lambda: names(asked), ["character/nabi"])
        first = asked.get("/characters/nabi").json()["revision"]
        answers = [asked.post("/Llama", json=line)]
        swap(mounted, {**NABI, "generation": 2, "description": "개"})
        changed = until(lambda: asked.get("/characters/nabi").json()["revision"] != first, True)
        newest = asked.get("/characters/nabi").json()["revision"]
        answers += [asked.post("/Llama", json=line | more) for more in ({}, {"upgrade_character": True})]
        model = {"model": f"character/nabi@{first}", "messages": [{"role": "user", "content": "안녕?"}]}
        answers.append(asked.post("/v1/chat/completions", json=model))
        swap(mounted, {**NABI, "generation": 3, "sampling": {"topP": 7}})
        until(lambda: page(office)["characters"]["nabi"]["problem"][:13], "sampling.topP")
        kept = page(office)["characters"]["nabi"]

    assert before == ([], "none")
    assert [one.status_code for one in answers] == [200] * 4
    assert played(tmp_path) == [f"nabi@{revision}" for revision in (first, first, newest)]
    assert (kept["generation"], kept["revision"]) == (2, newest), "what was played before goes on"
    log = (tmp_path / "office.log").read_text()
    assert "sampling.topP" in log and "고양이" not in log
    figures(came_seconds=came, changed_seconds=changed)


def test_a_curated_character_is_read_only_and_leaves_the_tenants_own_as_it_was(tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path) as (_, asked, mounted):
        own = asked.put("/characters/nabi", json={"display_name": "own"}).json()
        swap(mounted, NABI, {"name": "reed", "displayName": "Reed", "tenants": ["team-b"]})
        until(lambda: asked.get("/characters/nabi").json()["read_only"], True)
        listed = asked.get("/characters").json()["characters"]
        card = asked.get("/characters/nabi/export").content
        refused = [
            asked.put("/characters/nabi", json={"display_name": "other"}),
            asked.delete("/characters/nabi"),
            asked.post("/characters/import?name=nabi", content=card),
        ]
        copied = asked.post("/characters/import?name=copy", content=card)
        swap(mounted)
        until(lambda: asked.get("/characters/nabi").json()["display_name"], "own")
        after = asked.get("/characters/nabi").json()

    assert own["read_only"] is False
    assert [(one["name"], one["read_only"]) for one in listed] == [("nabi", True)], "reed is for another tenant"
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(409, "character_read_only")] * 3
    assert "kubectl edit chr" in refused[0].json()["detail"]
    assert copied.status_code == 200, "under a name of its own it is the tenant's"
    assert (after["revision"], after["read_only"]) == (own["revision"], False)


def test_a_start_with_a_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    settings = {"CHATBOT_CHARACTERS_FILE": str(tmp_path / "nowhere" / "characters.yaml")}

    with pytest.raises(AssertionError), stub_office(tmp_path, Stub(service="character"), settings):
        pytest.fail("it started")

    assert "CHATBOT_CHARACTERS_FILE: there is no such folder" in (tmp_path / "office.log").read_text()
