"""A service as a process whose policies are swapped as the kubelet swaps them: obeyed within seconds, told at :9090."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from parts.stub_office import Stub, StubOffice, stub_office

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}


def swap(folder: Path, text: str) -> None:
    """What the kubelet does with a new content: a folder of its own, and one link that is renamed."""
    data = folder / f"..{time.time_ns()}"
    data.mkdir()
    (data / "tenants.yaml").write_text(text)
    (folder / "..next").symlink_to(data.name)
    os.replace(folder / "..next", folder / "..data")


def status(office: StubOffice) -> int:
    return httpx.post(f"{office.url}/Llama", json=QUESTION, timeout=60, trust_env=False).status_code


def policy(office: StubOffice) -> dict[str, Any]:
    told = httpx.get(f"http://127.0.0.1:{office.metrics_port}/policy", timeout=60, trust_env=False).json()
    return dict(told)


def until(found: Callable[[], Any], wanted: Any) -> float:
    """Seconds until something is as it shall be."""
    began = time.monotonic()
    while (seen := found()) != wanted:
        assert time.monotonic() - began < 60, seen
        time.sleep(0.1)
    return round(time.monotonic() - began, 1)


def test_a_running_service_obeys_what_the_kubelet_brings(tmp_path: Path, figures: Callable[..., None]) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    settings = {"CHATBOT_TENANTS_FILE": str(folder / "tenants.yaml")}
    with stub_office(tmp_path, Stub(), settings) as office:
        before = status(office), policy(office)["state"]
        (folder / "tenants.yaml").symlink_to("..data/tenants.yaml")
        swap(folder, '{"tenants": [{"name": "default", "generation": 1, "uid": "u", "suspended": true}]}')
        first = until(lambda: status(office), 403)
        swap(folder, '{"tenants": [{"name": "default", "generation": 2, "uid": "u"}]}')
        second = until(lambda: status(office), 200)
        served = policy(office)
        swap(folder, '{"tenants": [{"name": "default", "generation": 3, "uid": "u", "supended": true}]}')
        until(lambda: policy(office)["state"], "stale")
        stale = policy(office)

    assert before == (200, "none")
    assert (served["state"], served["tenants"]) == ("serving", {"default": {"generation": 2, "uid": "u"}})
    assert stale["tenants"] == served["tenants"]
    assert stale["message"].startswith("tenants[default].supended: no such field")
    figures(first_seconds=first, changed_seconds=second)


@pytest.mark.parametrize(
    ("text", "named"),
    [("tenants: 7", "CHATBOT_TENANTS_FILE: tenants: a list"), (None, "CHATBOT_TENANTS_FILE: there is no such folder")],
)
def test_a_start_with_policies_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, named: str) -> None:
    path = tmp_path / "tenants.yaml"
    if text is None:
        path = tmp_path / "nowhere" / "tenants.yaml"
    else:
        path.write_text(text)

    with pytest.raises(AssertionError), stub_office(tmp_path, Stub(), {"CHATBOT_TENANTS_FILE": str(path)}):
        pytest.fail("it started")

    assert named in (tmp_path / "office.log").read_text()
