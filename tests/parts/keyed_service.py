"""A service that asks for keys of a store, and who makes them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chatbot.adapters.keys.sqlite import SqliteKeys
from chatbot.adapters.keys.user_tokens import SignedUsers
from chatbot.core.accounts.issue import Issuer, Wish
from chatbot.core.accounts.key_check import KeyCheck, Tokens
from chatbot.core.accounts.key_text import KeyText
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.domain.access import GatewayTrust, Rights
from chatbot.domain.ports import KeyStore

from parts.http_service import Service, ServiceOptions, running_service

EVERYTHING = Rights()


@dataclass
class Keyed:
    """A service on a key store, which other processes may use too."""

    service: Service
    stored: StoredKeys
    issuer: Issuer
    peppers: Peppers
    keys: list[KeyText] = field(default_factory=list)

    async def key(self, rights: Rights = EVERYTHING, *, tenant: str = "team-a", seconds: float = 1000.0) -> KeyText:
        """A new key."""
        _, key = await self.issuer.create(Wish(tenant, time.time() + seconds, rights=rights))
        self.keys.append(key)
        return key

    async def header(self, rights: Rights = EVERYTHING, *, tenant: str = "team-a") -> dict[str, str]:
        """The header of a new key."""
        return bearer(await self.key(rights, tenant=tenant))


def bearer(key: KeyText | str) -> dict[str, str]:
    """A key as a header."""
    return {"authorization": f"Bearer {key if isinstance(key, str) else key.text}"}


def pepper_file(folder: Path) -> Path:
    """A new secret in a file."""
    path = folder / "pepper"
    path.write_text(secrets.token_hex(32))
    return path


@asynccontextmanager
async def keyed_service(
    folder: Path,
    options: ServiceOptions | None = None,
    store: KeyStore | None = None,
    gateway: GatewayTrust | None = None,
) -> AsyncIterator[Keyed]:
    """A service that follows its store as a real one does, behind a gateway that names users where there is one."""
    peppers = Peppers.load(pepper_file(folder))
    commands = SqliteKeys(folder / "keys.sqlite3")
    stored = StoredKeys(store or SqliteKeys(folder / "keys.sqlite3"), peppers)
    options = options or ServiceOptions()
    keys = KeyCheck(stored=stored, peppers=peppers, tokens=Tokens(users=SignedUsers), tenants=options.tenants)
    options = replace(options, keys=keys.behind(gateway))
    following = asyncio.create_task(stored.follow())
    try:
        async with running_service(folder, options) as service:
            yield Keyed(service, stored, Issuer(commands, peppers), peppers)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await asyncio.gather(stored.close(), commands.close())
