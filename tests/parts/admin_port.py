"""The administrators' app on a port of its own, beside a service that checks the same keys."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from chatbot.adapters.keys.user_tokens import parse_signer
from chatbot.api.admin.app import AdminApp
from chatbot.api.admin.routes import AdminParts
from chatbot.core.accounts.desk import KeyDesk
from chatbot.core.accounts.issue import DAY_SECONDS, Issuer, Lives, Wish
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.audit.audit import Audit
from chatbot.domain.access import Rights, Scope
from chatbot.domain.ports import KeyStore
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants
from chatbot.server.serving.gate import Gate

from parts.http_service import ServiceOptions, serving
from parts.keyed_service import Keyed, keyed_service

ADMIN = Rights(frozenset({Scope.ADMIN}))


@dataclass
class Administered:
    """A service with keys, its administrators' port, and a client with an administrator's key."""

    keyed: Keyed
    port: int
    admin: httpx.AsyncClient
    key_id: str


@asynccontextmanager
async def administered(
    folder: Path, *, store: KeyStore | None = None, tenants: Tenants = NO_POLICIES, audit: Audit | None = None
) -> AsyncIterator[Administered]:
    """Both, on loopback; `store` is the service's and the port's, in the place of a file."""
    async with keyed_service(folder, ServiceOptions(tenants=tenants), store) as keyed:
        used = keyed.stored.store
        keys = KeyCheck(stored=keyed.stored, peppers=keyed.peppers, tenants=tenants)
        lives = Lives(90 * DAY_SECONDS, 365 * DAY_SECONDS, tenants)
        desk = KeyDesk(used, Issuer(used, keyed.peppers), lives, now=time.time, changed=keyed.stored.look)
        app = AdminApp(AdminParts(desk, keys, parse_signer, audit=audit))
        record, key = await Issuer(used, keyed.peppers).create(Wish("ops", time.time() + 1000, rights=ADMIN))
        headers = {"authorization": f"Bearer {key.text}", "accept-language": "en"}
        async with (
            serving(app, Gate(lambda: True, lame_duck_seconds=0.0)) as (port,),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as admin,
        ):
            yield Administered(keyed, port, admin, record.id)
