"""What pods of the fake nodes would answer: kwok runs no containers, so this server speaks for all of them."""

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from parts.kube_client import Document, Refused
from parts.kube_objects import BAD, revision_of
from parts.kube_policies import CHARACTERS, POLICIES, FakeMounts

REVISION = "chatbot.ai/model-revision"
EMBEDDING_REVISION = "chatbot.ai/embedding-revision"
_PAGES = {"model": ("chatbot.ai/model", REVISION), "embedding": ("chatbot.ai/embedding-model", EMBEDDING_REVISION)}
"""What a pod says at which page: the label that names its Model, the annotation with the revision."""


class FakePods:
    """Answers `/<namespace>/<pod>/model` as a service does: it follows its annotation, else the good revision.

    So it does at `/embedding` for the model that it makes vectors with.

    Args:
        read: Where it looks: `Kube.get`, or a mirror's for very many pods.
        folder: Where what they mount lies.

    Attributes:
        policies: What they answer at `/<namespace>/<pod>/policy`.
        characters: The same at `/<namespace>/<pod>/characters`.
        bad: Revisions that fail to load, with the reason that a pod then gives.
        silent: While true, no pod answers.
        speed: Tokens per second that every pod tells.
    """

    def __init__(self, read: Callable[[str, str, str], Document], folder: Path) -> None:
        self._read = read
        self._served: dict[tuple[str, str], str] = {}
        self.policies = FakeMounts(read, POLICIES, folder)
        self.characters = FakeMounts(read, CHARACTERS, folder)
        self.bad = {revision_of(BAD): "SmokeNaN"}
        self.silent = False
        self.speed = 50.0
        self.url = ""

    def answer(self, namespace: str, name: str, page: str = "model") -> Document | None:
        """What a pod says now."""
        try:
            pod = self._read("Pod", namespace, name)
        except Refused:
            return None
        place, expected = (pod["metadata"]["uid"], page), self._expected(pod, *_PAGES[page])
        if expected and expected not in self.bad:
            self._served[place] = expected
        serving = self._served.get(place, "")
        if expected in self.bad:
            return self._page("failed", serving, expected, self.bad[expected], "It is not a number.")
        return self._page("serving" if serving else "no_model", serving, expected)

    def _expected(self, pod: Document, label: str, annotation: str) -> str:
        told = pod["metadata"].get("annotations", {}).get(annotation, "")
        if told:
            return str(told)
        model = pod["metadata"]["labels"].get(label, "")
        try:
            config_map = self._read("ConfigMap", pod["metadata"]["namespace"], f"model-{model}")
        except Refused:
            return ""
        return str(config_map["data"].get("good-revision", ""))

    def _page(self, state: str, revision: str, expected: str, reason: str = "", message: str = "") -> Document:
        return {
            "state": state,
            "revision": revision,
            "expected": expected,
            "since": 0,
            "reason": reason,
            "message": message,
            "tokens_per_second": self.speed,
            "engine_restarts": 0,
        }


@contextmanager
def fake_pods(read: Callable[[str, str, str], Document]) -> Iterator[FakePods]:
    """A server that speaks for every pod, while the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="chatbot-mounts-"))
    pods = FakePods(read, folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, namespace, name, asked = self.path.split("/")
            embedding = partial(pods.answer, page="embedding")
            answers = {"policy": pods.policies.answer, "characters": pods.characters.answer, "embedding": embedding}
            page = None if pods.silent else answers.get(asked, pods.answer)(namespace, name)
            body = json.dumps(page).encode() if page else b""
            self.send_response(200 if page else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512  # of very many pods all may be asked at once; with five the kernel turns them away

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    pods.url = f"http://127.0.0.1:{server.server_port}/{{namespace}}/{{name}}/model"
    try:
        yield pods
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        shutil.rmtree(folder, ignore_errors=True)
