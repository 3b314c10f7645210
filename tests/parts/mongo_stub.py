"""A server that speaks just enough of MongoDB's wire protocol to refuse: what the wire server cannot be made to say.

It greets as the primary of a replica set and answers every other command with one scripted error.

Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ (OP_MSG, OP_QUERY, OP_REPLY).
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
NOT_PRIMARY = {"ok": 0, "code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"}
WRONG_PASSWORD = {"ok": 0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed. CANARY"}
NO_RIGHT = {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized CANARY"}


class MongoStub:
    """What it answers may be changed while it runs."""

    def __init__(self, refusal: dict[str, Any]) -> None:
        self.refusal = refusal
        self.commands: list[str] = []
        self.hellos: list[dict[str, Any]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes."""
        try:
            while True:
                size, request_id, _, code = struct.unpack("<iiii", await reader.readexactly(16))
                body = await reader.readexactly(size - 16)
                writer.write(self._reply(request_id, code, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # a cancelled handler would be reported as an error by the loop
        finally:
            writer.close()

    def _reply(self, request_id: int, code: int, body: bytes) -> bytes:
        if code == OP_QUERY:  # the first greeting: flags, name, skip, limit, document
            document = bson.decode(body[body.index(b"\0", 4) + 9 :])
            payload = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self._answer(document))
            opcode = OP_REPLY
        else:
            payload = b"\0\0\0\0\0" + bson.encode(self._answer(bson.decode(body[5:])))
            opcode = OP_MSG
        return struct.pack("<iiii", 16 + len(payload), 0, request_id, opcode) + payload

    def _answer(self, document: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(document))
        if name.lower() not in ("hello", "ismaster"):
            self.commands.append(name)
            return self.refusal
        self.hellos.append(document)
        return {
            "ok": 1,
            "isWritablePrimary": True,
            "ismaster": True,
            "helloOk": True,
            "setName": "stub",
            "setVersion": 1,
            "hosts": [f"127.0.0.1:{self.port}"],
            "me": f"127.0.0.1:{self.port}",
            "primary": f"127.0.0.1:{self.port}",
            "maxWireVersion": 17,
            "minWireVersion": 0,
            "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "saslSupportedMechs": ["SCRAM-SHA-256"],
        }


@asynccontextmanager
async def mongo_stub(refusal: dict[str, Any]) -> AsyncIterator[MongoStub]:
    """The stub on a free port."""
    stub = MongoStub(refusal)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    async with server:
        yield stub
