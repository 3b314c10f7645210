"""`chatbot-local` as a user meets it: started as a process, asked over its port, ended with Ctrl-C."""

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from chatbot.local.model_choice import demo_model
from chatbot.local.questions import DEMO_LANGUAGE, FIRST_QUESTIONS
from parts.file_server import Act, serve_file
from parts.local_process import LocalProcess, environment, local_process, run_to_the_end
from parts.openai_stub import TEXT, openai_stub, status
from parts.toy_gguf import make_nan_toy, make_toy, make_truncated_toy, make_wrong_magic_toy

QUESTIONS = FIRST_QUESTIONS[DEMO_LANGUAGE]
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    with local_process(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="module")
def client(local: LocalProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=local.gateway, timeout=60, trust_env=False) as made:
        yield made


def test_start_shows_an_answer_of_each_service_and_how_to_go_on(local: LocalProcess) -> None:
    deadline = time.monotonic() + 30
    while "Ctrl-C stops" not in local.said() and time.monotonic() < deadline:
        time.sleep(0.05)

    said = local.said()
    assert "This model is a toy" in said
    assert "make run MODEL=" in said
    assert said.count("curl -s ") == len(QUESTIONS)
    for question in QUESTIONS:
        shown = said.split(f"  {question.service} ", 1)[1].splitlines()[1]
        assert len(shown.split("(")[0].strip()) > 5
    assert "Traceback" not in said


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.service)
def test_quick_start_answers_one_json_string(client: httpx2.Client, question: object) -> None:
    assert hasattr(question, "service")
    response = client.post(f"/{question.service}/Llama", json=question.body)  # type: ignore[attr-defined]

    assert response.status_code == 200
    assert isinstance(response.json(), str)
    assert response.json()


def test_conversation_is_remembered_and_erased(client: httpx2.Client) -> None:
    body = {**QUESTIONS[1].body, "db_id": "test-uuid"}
    headers = {"X-User-ID": "test_user"}
    client.post("/character/Llama", json=body)

    read = client.get("/character/conversations/test-uuid", headers=headers)
    erased = client.delete("/character/conversations/test-uuid", headers=headers)
    gone = client.get("/character/conversations/test-uuid", headers=headers)

    assert (read.status_code, erased.status_code, gone.status_code) == (200, 204, 404)
    assert "안녕하세요!" in read.text


async def test_openai_client_chats_and_streams_through_the_gateway(local: LocalProcess) -> None:
    async with openai.AsyncOpenAI(base_url=f"{local.gateway}/office/v1", api_key="none", max_retries=0) as api:
        models = [model.id async for model in api.models.list()]
        asked = {"model": models[0], "messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}
        whole = await api.chat.completions.create(**asked)
        pieces = [chunk async for chunk in await api.chat.completions.create(stream=True, **asked)]

    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices)
    assert streamed == whole.choices[0].message.content
    assert streamed


@pytest.mark.parametrize("path", ["/nope", "/", "/officer", "/office/nope", "/office", "/character/", "/metrics"])
def test_what_is_not_there_is_the_branded_page(client: httpx2.Client, path: str) -> None:
    page = client.get(path, headers={"Accept": BROWSER, "Accept-Language": "en"})
    told = client.get(path)

    assert (page.status_code, told.status_code) == (404, 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert told.headers["content-type"] == "application/problem+json"
    for docs in ("/office/docs", "/character/docs"):
        assert f'href="{docs}"' in page.text
        assert docs in told.json()["docs"]
        assert client.get(docs).status_code == 200


@pytest.mark.parametrize("service", ["office", "character"])
def test_docs_know_their_prefix(client: httpx2.Client, service: str) -> None:
    described = client.get(f"/{service}/openapi.json").json()

    assert described["openapi"] == "3.1.0"
    assert described["servers"][0]["url"] == f"/{service}"
    assert f"/{service}/openapi.json" in client.get(f"/{service}/docs").text


def test_every_endpoint_of_the_404_page_exists(client: httpx2.Client) -> None:
    told = client.get("/nope").json()
    described = {
        f"{method.upper()} /{service}{path}"
        for service in ("office", "character")
        for path, methods in client.get(f"/{service}/openapi.json").json()["paths"].items()
        for method in methods
    }

    assert set(told["endpoints"]) <= described


def test_internal_port_has_metrics_and_model_and_the_gateway_has_not(
    local: LocalProcess, client: httpx2.Client
) -> None:
    with httpx2.Client(base_url=local.internal, timeout=30, trust_env=False) as internal:
        metrics, model = internal.get("/metrics"), internal.get("/model")

    assert model.json()["state"] == "serving"
    assert "chatbot_requests_total{" in metrics.text
    assert 'service="office"' in metrics.text
    assert 'service="character"' in metrics.text
    assert client.get("/model").status_code == 404


def test_info_names_the_demo_model_and_its_sum(client: httpx2.Client) -> None:
    sha256 = hashlib.sha256(demo_model().read_bytes()).hexdigest()
    deadline = time.monotonic() + 30
    while (model := client.get("/office/info").json()["model"])["sha256"] != sha256 and time.monotonic() < deadline:
        time.sleep(0.1)

    assert (model["sha256"], model["revision"], model["is_demo"]) == (sha256, sha256[:16], True)


def test_nothing_that_a_user_wrote_is_in_the_log(local: LocalProcess, client: httpx2.Client) -> None:
    canary = "주민번호900101"
    client.post("/office/Llama", json={"input_data": canary, "user_id": canary})
    client.post("/office/Llama", json={"input_data": 5, "user_id": canary, "db_id": canary})
    client.get(f"/office/{canary}")

    log = (local.output.parent / "var" / "chatbot-local.log").read_text()
    assert log
    assert canary not in log
    assert canary.encode("unicode_escape").decode() not in log


async def test_ctrl_c_answers_what_is_under_way_and_exits_0(tmp_path: Path) -> None:
    with local_process(tmp_path) as running:
        body = {"model": "chatbot-demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 400}
        body |= {"stream": True, "temperature": 1.5, "seed": 3}
        async with httpx2.AsyncClient(base_url=running.gateway, timeout=60, trust_env=False) as client:
            async with client.stream("POST", "/office/v1/chat/completions", json=body) as response:
                lines = response.aiter_lines()
                assert (await anext(lines)).startswith("data: ")
                ended = asyncio.create_task(asyncio.to_thread(running.interrupt))
                rest = [line async for line in lines]
            assert await ended == 0

        assert rest[-2:] == ["data: [DONE]", ""] or "data: [DONE]" in rest
        assert "Stopping" in running.said()
        assert "Traceback" not in running.said()


def test_ctrl_c_before_anything_is_served_is_no_traceback(tmp_path: Path) -> None:
    script = (
        "import os, signal, threading; from chatbot.local import main; "
        "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start(); "
        "main(['--port', '0', '--metrics-port', '0'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(tmp_path), capture_output=True, timeout=120
    )

    assert ended.returncode in (0, 130)
    assert b"Traceback" not in ended.stdout + ended.stderr


INTERRUPTS_ITSELF = """
import os, signal, sys

left = {moment}

def interrupt(frame, event, argument):
    global left
    if event == "call" and {here}:
        left -= 1
        if left == 0:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)

from chatbot.local import main
sys.setprofile(interrupt)
main(["--version"])
"""
ANYWHERE = "True"
IN_A_CALLBACK = "frame.f_code.co_name == 'cb' and 'importlib' in frame.f_code.co_filename"


def interrupted(folder: Path, moment: int, here: str) -> subprocess.CompletedProcess[bytes]:
    """A start that gets Ctrl-C at the moment-th Python call that fits; `main` is the first of all."""
    script = INTERRUPTS_ITSELF.format(moment=moment, here=here)
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment(folder), capture_output=True, timeout=120
    )


@pytest.mark.parametrize("moment", [1, 40, 400])
def test_ctrl_c_inside_a_callback_of_an_import_is_not_dropped(tmp_path: Path, moment: int) -> None:
    """Python prints "Exception ignored" there and goes on: how an interrupt was lost before."""
    ended = interrupted(tmp_path, moment, IN_A_CALLBACK)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


@pytest.mark.scale
@pytest.mark.timeout(3000)
def test_ctrl_c_at_any_call_of_the_imports_ends_at_once(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    count = scale(4, 200)
    moments = [20 + int(10 ** (5 * (n + 1) / count)) for n in range(count)]  # of more than 200,000 calls

    runs = (interrupted(tmp_path, moment, ANYWHERE) for moment in moments)
    ends = Counter((ended.returncode, ended.stderr) for ended in runs)

    figures(moments=len(moments), ends=dict(ends))
    assert set(ends) == {(130, b"")}


def test_check_ends_by_itself(tmp_path: Path) -> None:
    ended = run_to_the_end(tmp_path, "--check")

    assert ended.returncode == 0, ended.stderr
    assert "안녕하세요!" in ended.stdout
    assert "Ctrl-C" not in ended.stdout
    assert ended.stderr == ""


def test_taken_port_is_named_with_its_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        ended = run_to_the_end(tmp_path, "--check", "--port", port)

    assert ended.returncode == 1
    assert f"port {port} is in use" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def missing(path: Path) -> Path:
    return path


def hostile(path: Path) -> Path:
    path.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 4096)
    return path


def a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize(
    "make", [missing, empty, a_folder, hostile, make_wrong_magic_toy, make_truncated_toy, make_nan_toy]
)
def test_model_that_cannot_be_served_is_a_sentence_and_an_exit(tmp_path: Path, make: object) -> None:
    path = make(tmp_path / "model.gguf")  # type: ignore[operator]

    ended = run_to_the_end(tmp_path, "--check", "--model", str(path))

    assert ended.returncode == 1
    assert ended.stderr.startswith("chatbot-local: ")
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stdout + ended.stderr


def test_model_comes_from_an_address(tmp_path: Path) -> None:
    content = make_toy(tmp_path / "made.gguf").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()

    with serve_file(content, Act(cut_after=len(content) // 2)) as files:
        first = run_to_the_end(tmp_path, "--check", "--model", files.url, "--sha256", sha256)
        second = run_to_the_end(tmp_path, "--check", "--model", files.url)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert files.bytes_sent == len(content)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--sha256", "0" * 64), {}, "sha256"),
        (("--sha256", "abc"), {}, "64 hex"),
        (("--model", "http://:1/m.gguf"), {}, "could not be downloaded"),
        (("--model", "http://u:secret@127.0.0.1:1/m.gguf"), {}, "user name or password"),
        ((), {"CHATBOT_MODEL_PAHT": "x"}, "CHATBOT_MODEL_PATH"),
        ((), {"CHATBOT_QUEUE_MAX_WAITING": "many"}, "CHATBOT_QUEUE_MAX_WAITING"),
        ((), {"CHATBOT_AUTH_KEYS_FILE": "no-such-file"}, "CHATBOT_AUTH_KEYS_FILE"),
        ((), {"CHATBOT_HISTORY_SQLITE_PATH": "/proc/nope/x.sqlite3"}, "/proc/nope"),
    ],
    ids=["other sum", "no sum", "no host", "password in the address", "misspelt", "no number", "no keys", "no disk"],
)
def test_wrong_start_is_a_sentence_and_an_exit(
    tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    ended = run_to_the_end(tmp_path, "--check", *arguments, **variables)

    assert ended.returncode == 1
    assert said in ended.stderr
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_api_keys_are_respected(tmp_path: Path) -> None:
    key = "demo-key"
    (tmp_path / "keys").write_text(f"team:{hashlib.sha256(key.encode()).hexdigest()}\n")
    with local_process(tmp_path, CHATBOT_AUTH_KEYS_FILE=str(tmp_path / "keys")) as running:
        with httpx2.Client(base_url=running.gateway, timeout=60, trust_env=False) as client:
            without = client.post("/office/Llama", json=QUESTIONS[0].body)
            told = client.post("/office/Llama", json=QUESTIONS[0].body, headers={"Authorization": f"Bearer {key}"})

        assert (without.status_code, told.status_code) == (401, 200)
        assert isinstance(json.loads(told.text), str)
        assert "API keys are on" in running.said()


async def test_second_backend_answers_through_the_gateway_and_its_key_stays_secret(tmp_path: Path) -> None:
    key = "sk-canary-4711"
    (tmp_path / "key").write_text(key)
    body = {**QUESTIONS[0].body, "db_id": "d1"}
    async with openai_stub() as stub:
        starting = local_process(
            tmp_path,
            CHATBOT_OPENAI_MODEL="stub",
            CHATBOT_OPENAI_BASE_URL=stub.base_url,
            CHATBOT_OPENAI_API_KEY_FILE=str(tmp_path / "key"),
        )
        running = await asyncio.to_thread(starting.__enter__)
        try:
            async with httpx2.AsyncClient(base_url=running.gateway, timeout=60, trust_env=False) as client:
                answers = [await client.post("/office/OpenAI", json=body) for _ in range(2)]
                stub.then(status(401))
                refused = [await client.post("/office/OpenAI", json=body) for _ in range(3)]
                local = await client.post("/office/Llama", json=body)
                metrics = await client.get(f"{running.internal}/metrics")
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, TEXT)] * 2
    assert {answer.headers["x-backend"] for answer in answers} == {"openai"}
    assert [message["content"] for message in stub.calls[1].body["messages"]][-2:] == [TEXT, body["input_data"]]
    assert [answer.status_code for answer in refused] == [503] * 3
    assert len(stub.calls) == 3  # a refused key is used once
    assert (local.status_code, local.headers["x-backend"]) == (200, "llama")
    log = (tmp_path / "var" / "chatbot-local.log").read_text()
    for shown in (log, running.said(), metrics.text, *(answer.text for answer in refused)):
        assert key not in shown
