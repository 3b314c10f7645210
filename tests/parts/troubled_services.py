"""Real services, each in a namespace of its own, and the fault that befalls it: what the alerts are fired by.

Every fault is a `Trouble`: it is begun once and goes on until it is told to end.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count, cycle
from pathlib import Path

import httpx2
import psutil
from chatbot.adapters.audit.sqlite import SqliteAudit
from chatbot.core.audit.audit import Audit, Deed
from chatbot.core.audit.chain import Chain
from chatbot.domain.audit.records import AuditAction, AuditOutcome

from parts import nearly_full
from parts.embedding_models import make_embedding_toy
from parts.kube_cluster import free_ports
from parts.local_process import LocalProcess, local_process
from parts.mcp_servers import Wiki, mcp_in_a_thread
from parts.prometheus import Target
from parts.search_stub import search_in_a_thread
from parts.stub_office import Stub, stub_office

SMALL_LINE = {"CHATBOT_QUEUE_MAX_WAITING": "40"}
SLOW = Stub(slots=1, pieces=20, piece_seconds=0.1)
"""2 s for an answer: a line of 40 takes 80 s."""
PERSONA = {"character_name": "A", "greeting": "안녕!", "context": "x"}
QUESTIONS = {
    "office": {"input_data": "안녕하세요!", "user_id": "u"},
    "character": {"input_data": "안녕!", "user_id": "u", **PERSONA},
}
FOUND = ("A page", "https://127.0.0.1/page", "A page that nobody may read.")
_REQUEST_SECONDS = 200

End = threading.Event


@dataclass(frozen=True)
class Trouble:
    """One fault.

    Attributes:
        targets: What Prometheus scrapes in its namespace.
        fault: Runs in a thread until the event is set.
        services: Those that the rules of its namespace are about.
    """

    targets: tuple[Target, ...]
    fault: Callable[[End], None]
    services: tuple[str, ...] = ("office",)


def target(namespace: str, address: str) -> Target:
    """With the labels of a ServiceMonitor's target."""
    return Target(address, {"namespace": namespace, "pod": f"{namespace}-0"})


def ask_for_ever(
    url: str, body: Mapping[str, object], callers: int, end: End, pause_seconds: float = 0.0, key: str = ""
) -> None:
    """Callers that ask again as soon as they have an answer, whichever it is, and a pause has passed."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers["X-Request-ID"] = "010-1234-5678"  # trips the wire of the logs

    async def one(client: httpx2.AsyncClient, number: int) -> None:
        while not end.is_set():
            with contextlib.suppress(httpx2.HTTPError):
                await client.post(url, json={**body, "user_id": f"u{number}"})
            await asyncio.sleep(pause_seconds)

    async def everybody() -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(
            timeout=_REQUEST_SECONDS, trust_env=False, limits=limits, headers=headers
        ) as client:
            asked = [asyncio.create_task(one(client, number)) for number in range(callers)]
            await asyncio.to_thread(end.wait)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(everybody())


def search_for_ever(url: str, end: End, pause_seconds: float) -> None:
    """Somebody asks of the web, something else each time: what was found is kept for a while."""
    asked = {**QUESTIONS["office"], "google_access": True}
    with httpx2.Client(timeout=_REQUEST_SECONDS, trust_env=False) as client:
        for number in count():
            if end.wait(pause_seconds):
                return
            with contextlib.suppress(httpx2.HTTPError):
                client.post(url, json={**asked, "input_data": f"What is new? {number}"})


@contextmanager
def overload(folder: Path) -> Iterator[Trouble]:
    """More callers than the line has places, and they do not obey `Retry-After`."""
    with stub_office(folder, SLOW, SMALL_LINE) as office:
        address = target("overload", f"127.0.0.1:{office.metrics_port}")
        url = f"{office.url}/Llama"
        yield Trouble((address,), lambda end: ask_for_ever(url, QUESTIONS["office"], 60, end, 1.0))


@contextmanager
def store_cut_off(folder: Path) -> Iterator[Trouble]:
    """Somebody holds the store, so that no turn can be written, and nobody be erased."""
    with stub_office(folder, Stub()) as office:
        address = target("store", f"127.0.0.1:{office.metrics_port}")
        body = {**QUESTIONS["office"], "db_id": "d"}

        def fault(end: End) -> None:
            with held(folder / "history.sqlite3"):
                with contextlib.suppress(httpx2.HTTPError):
                    httpx2.delete(f"{office.url}/users/somebody", trust_env=False)
                ask_for_ever(f"{office.url}/Llama", body, 4, end, 0.1)

        yield Trouble((address,), fault)


@contextmanager
def limits_cut_off(folder: Path) -> Iterator[Trouble]:
    """Somebody holds the store in which limits of keys are counted, between times; the policies break.

    Nobody can note that in the audit, which somebody holds, too; before, somebody wrote a record beside the services.
    """
    command = [Path(sys.executable).parent / "chatbot-keys", "create", "--line", "--tenant", "team-a"]
    made = subprocess.run(
        [*command, "--requests-per-minute", "100000"], check=True, capture_output=True, text=True, timeout=60
    )
    key, line = made.stdout.split("\n")[:2]
    (folder / "keys").write_text(f"{line}\n")
    store, policies = folder / "limits.sqlite3", folder / "tenants.yaml"
    policies.write_text("tenants: [{name: team-a}]")
    settings = {"CHATBOT_AUTH_KEYS_FILE": str(folder / "keys"), "CHATBOT_LIMITS_SQLITE_PATH": str(store)}
    audit = folder / "chatbot-audit.sqlite3"
    asyncio.run(forge(audit))
    with stub_office(folder, Stub(), settings) as office:
        address = target("limits", f"127.0.0.1:{office.metrics_port}")

        def hold(end: End) -> None:
            with held(audit):
                policies.write_text("tenants: [{name: team-a, supended: true}]")
                while not end.wait(6):
                    with held(store):
                        end.wait(12)

        def fault(end: End) -> None:
            holder = threading.Thread(target=hold, args=(end,))
            holder.start()
            ask_for_ever(f"{office.url}/Llama", QUESTIONS["office"], 2, end, 0.2, key)
            holder.join()

        yield Trouble((address,), fault)


async def forge(file: Path) -> None:
    """A record of the audit from somebody who does not know the secret."""
    store = SqliteAudit(file)
    await Audit(store, Chain((b"another",))).write(Deed(AuditAction.KEY_CREATE), AuditOutcome.DONE)
    await store.close()


@contextmanager
def tools_changed(folder: Path) -> Iterator[Trouble]:
    """One tool server comes back with another tool than the one that was approved, one stays away."""
    coming, nowhere = free_ports(2)
    servers = [
        {"name": "wiki", "url": f"http://127.0.0.1:{coming}/mcp", "tools": [f"search@{'0' * 32}"]},
        {"name": "away", "url": f"http://127.0.0.1:{nowhere}/mcp", "tools": ["search"]},
    ]
    with stub_office(folder, Stub(), {"CHATBOT_TOOLS_MCP": json.dumps(servers)}) as office:
        address = target("tools", f"127.0.0.1:{office.metrics_port}")

        def fault(end: End) -> None:
            with mcp_in_a_thread(Wiki(), coming):
                ask_for_ever(f"{office.url}/Llama", QUESTIONS["office"], 1, end, 1.0)

        yield Trouble((address,), fault)


@contextmanager
def documents_asked(folder: Path) -> Iterator[Trouble]:
    """No fault: somebody uploads documents and asks them; an embedding model of random weights makes the vectors."""
    settings = {
        "CHATBOT_DOCUMENTS_STORE": "sqlite",
        "CHATBOT_DOCUMENTS_SQLITE_PATH": str(folder / "documents.sqlite3"),
        "CHATBOT_EMBEDDING_PATH": str(make_embedding_toy(folder / "embedding.gguf")),
        "CHATBOT_EMBEDDING_THREADS": "1",
    }
    with stub_office(folder, Stub(), settings) as office:
        address = target("documents", f"127.0.0.1:{office.metrics_port}")

        def load(end: End) -> None:
            with httpx2.Client(
                base_url=office.url, headers={"X-User-ID": "u"}, timeout=_REQUEST_SECONDS, trust_env=False
            ) as client:
                for number in count():
                    if end.wait(1.0):
                        return
                    with contextlib.suppress(httpx2.HTTPError):
                        client.post("/documents", json={"content": f"Rule {number}: everybody has {number} days off."})
                        client.post("/rag/query", json={"question": f"How many days off by rule {number}?"})

        yield Trouble((address,), load)


@contextmanager
def personas_stray(folder: Path) -> Iterator[Trouble]:
    """One character is to speak English, which its model never does; one ends its sentences as the model does not."""
    styles = {
        "stubborn": {"language": "en"},
        "mended": {"language": "ko", "sentence_suffix": {"any": ["냥"]}, "max_sentences": 1},
    }
    with stub_office(folder, Stub(service="character", pieces=4, piece_seconds=0.01)) as service:
        address = target("personas", f"127.0.0.1:{service.metrics_port}")

        def load(end: End) -> None:
            with httpx2.Client(base_url=service.url, timeout=_REQUEST_SECONDS, trust_env=False) as client:
                for name, style in styles.items():
                    client.put(f"/characters/{name}", json={"display_name": name, "style": style})
                for name in cycle(styles):
                    if end.wait(0.2):
                        return
                    asked = {**QUESTIONS["character"], "character_name": name, "greeting": "", "context": ""}
                    with contextlib.suppress(httpx2.HTTPError):
                        client.post("/Llama", json=asked, headers={"Accept": "text/event-stream"})

        yield Trouble((address,), load, ())


@contextmanager
def use_cut_off(folder: Path) -> Iterator[Trouble]:
    """Somebody holds the store of use, there is hardly room for records, prices are of long ago, a quota is spent."""
    store, policies = folder / "usage.sqlite3", folder / "tenants.yaml"
    policies.write_text("tenants: [{name: default, limits: {tenant: {tokensPerDay: 12000}}}]")
    settings = {
        "CHATBOT_TENANTS_FILE": str(policies),
        "CHATBOT_USAGE_SQLITE_PATH": str(store),
        "CHATBOT_USAGE_MAX_WAITING": "5",
        "CHATBOT_USAGE_PRICES_FILE": price_table(folder, date(2020, 1, 1)),
    }
    with stub_office(folder, Stub(), settings) as office:
        address = target("use", f"127.0.0.1:{office.metrics_port}")

        def fault(end: End) -> None:
            with held(store):
                ask_for_ever(f"{office.url}/Llama", QUESTIONS["office"], 2, end, 0.2)

        yield Trouble((address,), fault)


def price_table(folder: Path, since: date) -> str:
    """A file with prices of both services' local models; its name."""
    rows = (f"- {{model: local/{name}, from: {since}, input: 0.5, output: 2}}\n" for name in QUESTIONS)
    path = folder / "prices.yaml"
    path.write_text("".join(rows))
    return str(path)


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Nobody else can write or read a SQLite file."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None, timeout=60)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def engine_killed(folder: Path) -> Iterator[Trouble]:
    """The engine's process is killed whenever it is there, while people ask."""
    with local_process(folder) as local:

        def kill(end: End) -> None:
            service = psutil.Process(local.process.pid)
            while not end.wait(0.5):
                for child in service.children():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()

        def fault(end: End) -> None:
            killer = threading.Thread(target=kill, args=(end,))
            killer.start()
            ask_for_ever(f"{local.gateway}/office/Llama", QUESTIONS["office"], 2, end, 0.2)
            killer.join()

        yield Trouble((of_local("engine", local),), fault, ("office", "character"))


@contextmanager
def no_model(folder: Path) -> Iterator[Trouble]:
    """`chatbot-office` on a volume without a model; what a tool can tell alone is answered all the same."""
    port, metrics_port = free_ports(2)
    own = {
        "CHATBOT_HTTP_HOST": "127.0.0.1",
        "CHATBOT_HTTP_PORT": str(port),
        "CHATBOT_METRICS_HOST": "127.0.0.1",
        "CHATBOT_METRICS_PORT": str(metrics_port),
        "CHATBOT_MODEL_DIR": str(folder),
        "CHATBOT_MODEL_REVISION_DIR": str(folder),
        "CHATBOT_HISTORY_SQLITE_PATH": str(folder / "history.sqlite3"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
    with (
        (folder / "log").open("wb") as log,
        _process([Path(sys.executable).parent / "chatbot-office"], env=inherited | own, stdout=log, stderr=log),
    ):
        address = target("no-model", f"127.0.0.1:{metrics_port}")
        url = f"http://127.0.0.1:{port}/Llama"

        def fault(end: End) -> None:
            sums = {**QUESTIONS["office"], "input_data": "12*12는?"}
            others = threading.Thread(target=ask_for_ever, args=(url, sums, 1, end, 1.0))
            others.start()
            ask_for_ever(url, QUESTIONS["office"], 2, end, 0.2)
            others.join()

        yield Trouble((address,), fault)


@contextmanager
def gone(folder: Path) -> Iterator[Trouble]:
    """The only pod is killed."""
    with stub_office(folder, Stub()) as office:

        def fault(end: End) -> None:
            office.process.send_signal(signal.SIGKILL)
            end.wait()

        yield Trouble((target("gone", f"127.0.0.1:{office.metrics_port}"),), fault)


@contextmanager
def volume(folder: Path) -> Iterator[Trouble]:
    """The file system of a claim fills up."""
    (port,) = free_ports(1)
    command = ["/usr/bin/unshare", "--map-root-user", "--mount", sys.executable, nearly_full.__file__, str(port)]
    with (folder / "log").open("wb") as log, _process(command, stdout=log, stderr=log):

        def fault(end: End) -> None:
            httpx2.get(f"http://127.0.0.1:{port}/fill", trust_env=False)
            end.wait()

        yield Trouble((Target(f"127.0.0.1:{port}"),), fault, ())


@contextmanager
def calm(folder: Path) -> Iterator[Trouble]:
    """No fault: eight people, more than there are slots, ask, read and search the web.

    The store is in memory: a disk may be busy.
    """
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as memory,  # noqa: S108
        search_in_a_thread(FOUND) as searxng,
        local_process(
            folder,
            CHATBOT_HISTORY_SQLITE_PATH=f"{memory}/history.sqlite3",
            CHATBOT_USAGE_SQLITE_PATH=f"{memory}/usage.sqlite3",
            CHATBOT_USAGE_PRICES_FILE=price_table(folder, datetime.now(UTC).date()),
            CHATBOT_SEARCH_SEARXNG_URL=searxng.url,
        ) as local,
    ):

        def load(end: End) -> None:
            url = f"{local.gateway}/{{}}/Llama"
            others = threading.Thread(
                target=ask_for_ever, args=(url.format("character"), QUESTIONS["character"], 1, end, 0.5)
            )
            others.start()
            searching = threading.Thread(target=search_for_ever, args=(url.format("office"), end, 1.0))
            searching.start()
            ask_for_ever(url.format("office"), {**QUESTIONS["office"], "db_id": "d", "unknown": 1}, 6, end, 1.5)
            others.join()
            searching.join()

        yield Trouble((of_local("calm", local),), load, ("office", "character"))


@contextmanager
def search_down(folder: Path) -> Iterator[Trouble]:
    """The only provider of web search fails whatever it is asked."""
    with search_in_a_thread() as searxng:
        searxng.mode = "500"
        with stub_office(folder, Stub(), {"CHATBOT_SEARCH_SEARXNG_URL": searxng.url}) as office:
            address = target("search", f"127.0.0.1:{office.metrics_port}")
            url = f"{office.url}/Llama"
            yield Trouble((address,), lambda end: search_for_ever(url, end, 0.5))


def of_local(namespace: str, local: LocalProcess) -> Target:
    return target(namespace, local.internal.removeprefix("http://"))


@contextmanager
def _process(command: list[str | Path], **options: object) -> Iterator[None]:
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.kill()
        process.wait()


TROUBLES = {
    "calm": calm,
    "documents": documents_asked,
    "engine": engine_killed,
    "gone": gone,
    "limits": limits_cut_off,
    "no-model": no_model,
    "overload": overload,
    "personas": personas_stray,
    "search": search_down,
    "store": store_cut_off,
    "tools": tools_changed,
    "use": use_cut_off,
    "volume": volume,
}


@contextmanager
def all_of_them(folder: Path) -> Iterator[dict[str, Trouble]]:
    """Namespace -> trouble, none begun yet."""
    with ExitStack() as stack:
        made = {}
        for namespace, trouble in TROUBLES.items():
            own = folder / namespace
            own.mkdir()
            made[namespace] = stack.enter_context(trouble(own))
        yield made


@contextmanager
def in_trouble(troubles: Mapping[str, Trouble]) -> Iterator[None]:
    """All faults at once, while the context lasts."""
    end = End()
    threads = [threading.Thread(target=trouble.fault, args=(end,)) for trouble in troubles.values()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()
