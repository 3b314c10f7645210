"""A Qdrant for tests: its own engine (`qdrant-edge`, the shard of the server) behind the part of its REST API we use.

Filters, sparse and dense search, rarity and removal are Qdrant's. Routes, statuses and the reading of requests are
ours: a request must be what the official client's models, made from Qdrant's OpenAPI with unknown fields forbidden,
allow.
`CHATBOT_TEST_QDRANT_URL` puts a real Qdrant in its place, except where a test breaks the server.
"""

import json
import os
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from pydantic import BaseModel, ValidationError
from qdrant_client.http import models

VERSION = "1.20.0"
Told = tuple[int, bytes]
Fault = Callable[[str, str], Told | str | None]
"""Given method and path: an answer instead, or `hang`, `drop` or `cut`; None is no fault."""


@dataclass
class Qdrant:
    """What the server has, and what it was asked: (method, path, headers, body)."""

    folder: Path
    api_key: str = ""
    version: str = VERSION
    fault: Fault = lambda _method, _path: None
    shards: dict[str, edge.EdgeShard] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return os.environ.get("CHATBOT_TEST_QDRANT_URL") or f"{self.scheme}://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, body: bytes) -> Told:
        """What a Qdrant answers."""
        try:
            with self.lock:
                return self._routed(method, path.partition("?")[0].strip("/").split("/"), body)
        except (ValidationError, ValueError) as exc:
            return told(400, {"status": {"error": f"Format error in JSON body: {exc}"}})

    def drop(self, prefix: str) -> None:
        """Lose collections, as a server does that lost its disk."""
        with self.lock:
            for name in [one for one in self.shards if one.startswith(prefix)]:
                self._drop(name)

    def points(self, prefix: str = "") -> int:
        """Points of all collections."""
        with self.lock:
            return sum(
                shard.count(edge.CountRequest()) for name, shard in self.shards.items() if name.startswith(prefix)
            )

    def _routed(self, method: str, parts: list[str], body: bytes) -> Told:
        if parts == [""]:
            return told(200, {"title": "qdrant - vector search engine", "version": self.version, "commit": "0"})
        if parts == ["collections"]:
            return ok({"collections": [{"name": name} for name in self.shards]})
        name, rest = parts[1], "/".join(parts[2:])
        if rest == "exists":
            return ok({"exists": name in self.shards})
        if (method, rest) == ("PUT", ""):
            return self._create(name, models.CreateCollection.model_validate_json(body))
        if name not in self.shards:
            return told(404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}})
        if (method, rest) == ("DELETE", ""):
            self._drop(name)
            return ok(True)
        if (method, rest) == ("GET", ""):
            return ok(_info(self.shards[name]))
        return _on_shard(self.shards[name], method, rest, body)

    def _create(self, name: str, asked: models.CreateCollection) -> Told:
        if name in self.shards:
            return told(409, {"status": {"error": f"Wrong input: Collection `{name}` already exists!"}})
        config = edge.EdgeConfig(
            vectors={key: _dense(one) for key, one in (asked.vectors or {}).items()},  # type: ignore[union-attr]
            sparse_vectors={
                key: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if one.modifier == "idf" else None)
                for key, one in (asked.sparse_vectors or {}).items()
            },
        )
        self.shards[name] = edge.EdgeShard.create(str(self.folder / name), config)
        return ok(True)

    def _drop(self, name: str) -> None:
        self.shards.pop(name).close()
        shutil.rmtree(self.folder / name)


def ok(result: Any) -> Told:
    """An answer with a result."""
    return told(200, {"result": result, "status": "ok", "time": 0.001})


def told(status: int, body: Mapping[str, Any]) -> Told:
    """An answer."""
    return status, json.dumps(body).encode()


def _on_shard(shard: edge.EdgeShard, method: str, rest: str, body: bytes) -> Told:
    if (method, rest) == ("PUT", "index"):
        asked = models.CreateFieldIndex.model_validate_json(body)
        params = asked.field_schema
        assert isinstance(params, models.KeywordIndexParams)
        shard.update(
            edge.UpdateOperation.create_field_index(
                asked.field_name, edge.KeywordIndexParams(is_tenant=params.is_tenant)
            )
        )
        return ok({"operation_id": 1, "status": "completed"})
    if (method, rest) == ("PUT", "points"):
        points = models.PointsList.model_validate_json(body).points
        shard.update(edge.UpdateOperation.upsert_points([_point(one) for one in points]))
        return ok({"operation_id": 1, "status": "completed"})
    if (method, rest) == ("POST", "points/delete"):
        chosen = _filter(models.FilterSelector.model_validate_json(body).filter)
        shard.update(edge.UpdateOperation.delete_points_by_filter(chosen))
        return ok({"operation_id": 1, "status": "completed"})
    if (method, rest) == ("POST", "points/count"):
        counted = models.CountRequest.model_validate_json(body)
        assert counted.filter is not None
        return ok({"count": shard.count(edge.CountRequest(exact=bool(counted.exact), filter=_filter(counted.filter)))})
    if (method, rest) == ("POST", "points/query"):
        return ok({"points": _query(shard, models.QueryRequest.model_validate_json(body))})
    return told(404, {"status": {"error": "no such route"}})


def _query(shard: edge.EdgeShard, asked: models.QueryRequest) -> list[dict[str, Any]]:
    assert asked.filter is not None and asked.limit is not None
    nearest: Any = asked.query
    if isinstance(nearest, models.SparseVector):
        nearest = edge.SparseVector(nearest.indices, nearest.values)
    idf = asked.params.idf if asked.params else None
    corpus = edge.IdfParams(corpus=_filter(idf.corpus)) if isinstance(idf, models.IdfCorpusParams) else None
    request = edge.QueryRequest(
        limit=asked.limit,
        query=edge.Query.Nearest(nearest, using=asked.using),
        filter=_filter(asked.filter),
        params=edge.SearchParams(idf=corpus),
        with_payload=bool(asked.with_payload),
    )
    found = shard.query(request)
    return [{"id": str(one.id), "version": 1, "score": one.score, "payload": one.payload} for one in found]


def _point(one: models.PointStruct) -> edge.Point:
    vector: Any = {
        name: edge.SparseVector(each.indices, each.values) if isinstance(each, models.SparseVector) else each
        for name, each in one.vector.items()  # type: ignore[union-attr]
    }
    return edge.Point(str(one.id), vector, one.payload)


def _dense(params: models.VectorParams) -> edge.EdgeVectorParams:
    kind = edge.VectorStorageDatatype.Float16 if params.datatype == "float16" else None
    return edge.EdgeVectorParams(
        size=params.size, distance=getattr(edge.Distance, params.distance.value), datatype=kind
    )


def _filter(asked: models.Filter) -> edge.Filter:
    def listed(conditions: Any) -> list[Any]:
        return [_condition(one) for one in (conditions or [])]

    return edge.Filter(must=listed(asked.must), must_not=listed(asked.must_not))


def _condition(asked: BaseModel) -> Any:
    if isinstance(asked, models.Filter):
        return _filter(asked)
    assert isinstance(asked, models.FieldCondition), asked
    if asked.range is not None:
        return edge.FieldCondition(asked.key, range=edge.RangeFloat(gte=asked.range.gte, lt=asked.range.lt))  # type: ignore[union-attr]
    match = asked.match
    kept = edge.MatchAny(match.any) if isinstance(match, models.MatchAny) else edge.MatchValue(match.value)  # type: ignore[union-attr]
    return edge.FieldCondition(asked.key, match=kept)


def _info(shard: edge.EdgeShard) -> dict[str, Any]:
    return {"points_count": shard.info().points_count, "status": "green"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    wbufsize = -1
    server: "_Server"

    def _serve(self) -> None:
        qdrant = self.server.qdrant
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        qdrant.asked.append((self.command, self.path, headers, body))
        fault = qdrant.fault(self.command, self.path)
        if fault == "hang":
            qdrant.released.wait(60)
        if isinstance(fault, str):
            if fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
                self.wfile.flush()
            self.close_connection = True
            return
        if fault is None and qdrant.api_key and headers.get("api-key") != qdrant.api_key:
            fault = told(401, {"status": {"error": "Must provide an API key or an Authorization bearer token"}})
        status, content = fault or qdrant.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def handle(self) -> None:
        with suppress(OSError):  # a client that hung up, or would not trust us
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of broken handshakes."""

    qdrant: Qdrant


@contextmanager
def qdrant_server(tls: ssl.SSLContext | None = None) -> Iterator[Qdrant]:
    """A server of one's own on a free port; in memory where there is enough: collections sync often."""
    memory = Path("/dev/shm")  # noqa: S108  (a folder of our own in it)
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    with tempfile.TemporaryDirectory(dir=memory if has_room else None) as folder:
        yield from _serving(Qdrant(Path(folder)), tls)


def _serving(qdrant: Qdrant, tls: ssl.SSLContext | None) -> Iterator[Qdrant]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.qdrant = qdrant
    qdrant.port, qdrant.scheme = server.server_port, "https" if tls else "http"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield qdrant
    finally:
        qdrant.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
        qdrant.drop("")
