"""A MongoDB wire server (mongo-java-server, in memory), built once and started on a free port.

`CHATBOT_TEST_MONGODB_URL` puts a real MongoDB in its place, except where a test stops or suspends the server.
It ignores TTL indexes' sweeps and sessions; what a test needs of those is said there.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymongo import MongoClient

from parts.needs import need

SOURCES = Path(__file__).parent / "MongoServer"
CACHE = Path.home() / ".cache" / "chatbot-test"
HOW = "apt-get install openjdk-17-jdk-headless maven (or `make deps`)"


def build() -> Path:
    """Compile the server into the cache, unless it is there: about 10 s, once."""
    inputs = sorted(path for path in SOURCES.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    done = CACHE / f"mongo-{digest}"
    if done.exists():
        return done
    maven, compiler = need("mvn", HOW), need("javac", HOW)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        work = Path(scratch) / "mongo"
        shutil.copytree(SOURCES, work)
        download = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        subprocess.run(download, cwd=work, check=True, timeout=300)
        subprocess.run([compiler, "-cp", "lib/*", "Main.java"], cwd=work, check=True, timeout=120)
        try:
            work.rename(done)
        except OSError:  # another test run was faster
            assert done.exists()
    return done


class MongoServer:
    """The server as a process that can be stopped, started again on its port, and suspended."""

    def __init__(self) -> None:
        self._folder = build()
        self._java = need("java", HOW)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Connection string."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, on the port it had before."""
        command = [self._java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", "lib/*:.", "Main", str(self.port)]
        self._process = subprocess.Popen(command, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the MongoDB wire server did not start"
        self.port = int(line)

    def stop(self) -> None:
        """Kill it; its data is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(timeout=10)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()

    def suspend(self) -> None:
        """Stop the process with SIGSTOP: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # a signal takes its time

    def resume(self) -> None:
        """Let a suspended process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_server() -> Iterator[MongoServer]:
    """A server of one's own."""
    server = MongoServer()
    server.start()
    try:
        with MongoClient(server.url) as client:  # a cold JVM on a busy machine takes longer than our stores wait
            client["warm"]["up"].create_index("it", unique=True)
            client["warm"]["up"].update_one({"it": 1}, {"$set": {"is": 1}}, upsert=True)
            client.drop_database("warm")
        yield server
    finally:
        server.stop()


@contextmanager
def mongo_url() -> Iterator[str]:
    """Connection string of the user's MongoDB, else of a server started here."""
    given = os.environ.get("CHATBOT_TEST_MONGODB_URL")
    if given:
        yield given
        return
    with running_server() as server:
        yield server.url


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """Name of a database that did not exist before and does not afterwards."""
    name = f"chatbot_test_{uuid.uuid4().hex[:12]}"
    try:
        yield name
    finally:
        deadline = time.monotonic() + 10
        with MongoClient(url, serverSelectionTimeoutMS=int((deadline - time.monotonic()) * 1000)) as client:
            client.drop_database(name)
