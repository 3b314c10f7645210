"""Every curl of the README, in order, against `chatbot-local`: the answers have the shape that it shows."""

import json
from collections.abc import Iterator

import httpx
import pytest
from parts import readme
from parts.local_process import LocalProcess, local_process

GATEWAY = 8001


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    with local_process(tmp_path_factory.mktemp("local")) as running:
        yield running


def shape(value: object) -> object:
    """What stays the same from run to run: kinds of values and names of fields. None fits anything."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(shown: object, got: object, path: str = "$") -> list[str]:
    if shown == "NoneType" or got == "NoneType" or shown == got:
        return []
    if isinstance(shown, dict) and isinstance(got, dict):
        missing = [f"{path}: {name}" for name in shown.keys() ^ got.keys()]
        return missing + [d for name in shown.keys() & got.keys() for d in differences(shown[name], got[name], name)]
    if isinstance(shown, list) and isinstance(got, list):
        return [d for one, other in zip(shown, got, strict=False) for d in differences(one, other, f"{path}[]")]
    return [f"{path}: {shown} is shown, {got} came"]


def event_names(stream: str) -> list[str]:
    """Names of server-sent events, repeated ones once."""
    names = [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


def test_examples_answer_as_the_readme_shows(local: LocalProcess) -> None:
    wrong = {}
    for example in readme.examples():
        url = (local.gateway if example.port == GATEWAY else local.internal) + example.path
        content = example.body.encode() if example.body else None
        answer = httpx.request(example.method, url, headers=example.headers, content=content, timeout=60)
        if not answer.is_success:
            wrong[example.command] = [str(answer.status_code)]
        elif "event-stream" in answer.headers.get("content-type", ""):
            wrong[example.command] = [] if event_names(answer.text) == event_names(example.answer) else [answer.text]
        elif example.answer:
            wrong[example.command] = differences(shape(json.loads(example.answer)), shape(answer.json()))

    assert {command: problems for command, problems in wrong.items() if problems} == {}
