"""Making, replacing and ending keys of a store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from chatbot.core.accounts.key_text import KeyText, mint
from chatbot.core.accounts.peppers import Peppers
from chatbot.domain.access import KeyRecord, Rights, Scope
from chatbot.domain.limits import Limits
from chatbot.domain.ports import KeyStore
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants

DAY_SECONDS: Final = 86_400.0


class LifeTooLong(ValueError):
    """A key was to live longer than `longest_seconds`, which the tenant's policy says, or else the settings."""

    def __init__(self, longest_seconds: float, *, is_policy: bool) -> None:
        super().__init__(longest_seconds)
        self.longest_seconds = longest_seconds
        self.is_policy = is_policy


class AdminAlone(ValueError):
    """A key of an administrator was to have another scope beside."""

    def __init__(self) -> None:
        super().__init__("scopes: admin stands alone; give the other scopes to another key")


class NoSuchKey(Exception):
    """There is no key of that id, or it cannot be rotated any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new key shall be. Times are Unix seconds."""

    tenant: str
    expires_at: float
    label: str = ""
    rights: Rights = field(default_factory=Rights)
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Lives:
    """How long keys live, seconds.

    Attributes:
        usual: Where nobody says.
        longest: That anybody may ask for.
        tenants: Their policies may say less.
    """

    usual: float
    longest: float
    tenants: Tenants = NO_POLICIES

    def of(self, tenant: str, asked: float | None) -> float:
        """As long as asked for, else as is usual; never longer than the tenant's policy allows.

        Raises:
            LifeTooLong: More was asked for.
        """
        longest = self.tenants.of(tenant).longest_key_seconds
        if asked is not None and asked > self.longest:
            raise LifeTooLong(self.longest, is_policy=False)
        life = self.usual if asked is None else asked
        if longest is None or life <= longest:
            return float(life)
        if asked is not None:
            raise LifeTooLong(longest, is_policy=True)
        return longest


class Issuer:
    """Makes and changes keys.

    Args:
        store: Where they are kept.
        peppers: Of their digests.
        now: Unix seconds.
    """

    def __init__(self, store: KeyStore, peppers: Peppers, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._peppers = peppers
        self._now = now

    async def create(self, wish: Wish) -> tuple[KeyRecord, KeyText]:
        """A new key; nobody can show its text again.

        Raises:
            AdminAlone: It would be an administrator's, and more.
            StoreUnavailable: It may or may not be kept; nobody has its text.
        """
        check_scopes(wish.rights)
        key = mint()
        pepper, digest = self._peppers.digest(key.text)
        record = replace(new_record(wish, key, self._now()), pepper=pepper, digest=digest)
        await self._store.add(record)
        return record, key

    async def rotate(self, key_id: str, *, overlap_seconds: float, life_seconds: float) -> tuple[KeyRecord, KeyText]:
        """A sibling of a key with the same rights; the old one ends after an overlap.

        The new key is kept first: whoever is interrupted in between has two valid keys, never none.

        Raises:
            NoSuchKey: There is none of that id, it was revoked, or it was rotated before.
            StoreUnavailable: As above.
        """
        old, now = await self._find(key_id), self._now()
        if old.is_disabled or old.replaced_by:
            raise NoSuchKey(key_id)
        # The counters go on: a rotation refills nothing.
        limits = old.rights.limits
        rights = replace(old.rights, limits=replace(limits, account=limits.account or old.id) if limits else limits)
        record, key = await self.create(Wish(old.tenant, now + life_seconds, old.label, rights, old.not_before))
        await self._store.change(replace(old.until(now + overlap_seconds), replaced_by=record.id))
        return record, key

    async def limit(self, key_id: str, limits: Limits) -> KeyRecord:
        """Give a key other limits; what was used stays used, also by the keys that it was rotated from.

        Raises:
            NoSuchKey: There is none of that id.
            StoreUnavailable: As above.
        """
        old = await self._find(key_id)
        limits = replace(limits, account=old.rights.limits.account)
        await self._store.limit(key_id, limits)
        return replace(old, rights=replace(old.rights, limits=limits))

    async def revoke(self, key_id: str) -> KeyRecord:
        """End a key for good, on all replicas within seconds. Idempotent.

        Raises:
            NoSuchKey: There is none of that id.
            StoreUnavailable: It may still be valid: call again.
        """
        record = replace(await self._find(key_id), is_disabled=True)
        await self._store.change(record)
        return record

    async def _find(self, key_id: str) -> KeyRecord:
        try:
            return (await self._store.find([key_id]))[key_id]
        except KeyError:
            raise NoSuchKey(key_id) from None


def check_scopes(rights: Rights) -> None:
    """Refuse a key that could administrate and do something else.

    Raises:
        AdminAlone: It could.
    """
    if Scope.ADMIN in rights.scopes and len(rights.scopes) > 1:
        raise AdminAlone


def new_record(wish: Wish, key: KeyText, now: float) -> KeyRecord:
    """The record of a key without its digest."""
    return KeyRecord(
        id=key.id,
        tenant=wish.tenant,
        digest=b"",
        label=wish.label,
        rights=wish.rights,
        created_at=now,
        not_before=wish.not_before,
        expires_at=wish.expires_at,
    )
