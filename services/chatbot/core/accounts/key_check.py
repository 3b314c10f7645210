"""From what a caller presents to who he is: an issuer's token, a key of the mounted file, or one of the store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

from chatbot.core.accounts.key_text import MAX_CHARACTERS, parse
from chatbot.core.accounts.mounted import MountedKeys
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.core.privacy.pseudonym import Pseudonyms
from chatbot.domain.access import ANYBODY, GatewayTrust, KeyRecord, Principal, Rights
from chatbot.domain.errors import Unauthorized, UserTokenInvalid
from chatbot.domain.ports import TokenCheck, UserTokenCheck
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants

MAX_TOKEN_CHARACTERS = 8192
_JSON_BEGINS = "eyJ"  # base64url of {" (RFC 7519): tokens do, no key of ours does


@dataclass(frozen=True, slots=True)
class Tokens:
    """Who judges tokens; None judges none.

    Attributes:
        issuer: Of those that stand in the place of a key.
        users: Makes who judges those that say who the user of a key is, when the first such key comes.
    """

    issuer: TokenCheck | None = None
    users: Callable[[], UserTokenCheck] | None = None


NO_TOKENS: Final = Tokens()


class KeyCheck:
    """What is valid now; without a file, a store and an issuer everybody is the one tenant "".

    Args:
        mounted: Keys of a file.
        stored: Keys of a store.
        peppers: Of the store's keys; None where there is no store.
        tokens: Who judges tokens.
        tenants: Whose policies say how long a key may live.
        now: Unix seconds.
    """

    def __init__(
        self,
        mounted: MountedKeys | None = None,
        stored: StoredKeys | None = None,
        peppers: Peppers | None = None,
        tokens: Tokens = NO_TOKENS,
        *,
        tenants: Tenants = NO_POLICIES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tenants = tenants
        self._mounted = mounted
        self.stored = stored
        self.peppers = peppers
        self._pseudonyms = peppers.pseudonyms if peppers else None
        self._tokens = tokens
        self._now = now
        self.gateway: GatewayTrust | None = None

    def naming(self, pseudonyms: Pseudonyms | None) -> Self:
        """The same, with pseudonyms under a secret of their own in the place of the peppers; None changes nothing."""
        self._pseudonyms = pseudonyms or self._pseudonyms
        return self

    def behind(self, gateway: GatewayTrust | None) -> Self:
        """The same, where a gateway may say who the user is; nobody passes then without it or a key."""
        self.gateway = gateway
        return self

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return self._mounted is None and self.stored is None and self._tokens.issuer is None and self.gateway is None

    async def principal(
        self, presented: str | None, user_token: str | None = None, vouched: str | None = None
    ) -> Principal:
        """Who presents a key or a token.

        Args:
            presented: The key or token, None where there is none.
            user_token: Says who the user is, where the key asks for it.
            vouched: The user whom the gateway names; he needs no key. Whose key it is decides before.

        Raises:
            Unauthorized: It is missing, unknown, expired, revoked, not valid yet, or older than its tenant allows:
                nobody is told which.
            UserTokenInvalid: The key is valid, the token of its user is not.
            KeysUnavailable: The store does not answer, and the key is not known here.
        """
        if self.is_open:
            return ANYBODY
        if presented is None and vouched is not None and self.gateway is not None:
            return self.gateway.principal(vouched)
        if presented is not None and self._tokens.issuer is not None and presented.startswith(_JSON_BEGINS):
            if len(presented) > MAX_TOKEN_CHARACTERS:
                raise Unauthorized
            return await self._tokens.issuer.principal(presented)
        if presented is None or len(presented) > MAX_CHARACTERS:
            raise Unauthorized
        record = await self._find(presented)
        now = self._now()
        if record is None or not record.is_valid_at(now) or not self._tenants.of(record.tenant).allows_key(record, now):
            raise Unauthorized
        return Principal(record.tenant, record.id, self._with_user(record, user_token), record)

    def pseudonym(self, tenant: str, user: str) -> str:
        """What stands for a user where his name must not; "" where there is no secret to make it with."""
        return self._pseudonyms.of(tenant, user) if self._pseudonyms else ""

    def pseudonyms(self, tenant: str, user: str) -> tuple[str, ...]:
        """All that may stand for a user in rows; none where there is no secret."""
        return self._pseudonyms.every(tenant, user) if self._pseudonyms else ()

    async def follow(self) -> None:
        """Keep the store's keys true, for ever; returns at once where there is no store."""
        if self.stored is not None:
            await self.stored.follow()

    async def close(self) -> None:
        """Give back the store."""
        if self.stored is not None:
            await self.stored.close()

    def _with_user(self, record: KeyRecord, token: str | None) -> Rights:
        """What the key allows, of the user whom the token names where the key asks for one."""
        rights = record.rights
        if not rights.signer:
            return rights
        if token is None or len(token) > MAX_TOKEN_CHARACTERS:
            raise UserTokenInvalid
        return replace(rights, user=self._judge_of_users.user(token, rights.signer, record.tenant))

    @cached_property
    def _judge_of_users(self) -> UserTokenCheck:
        if self._tokens.users is None:
            raise UserTokenInvalid
        return self._tokens.users()

    async def _find(self, presented: str) -> KeyRecord | None:
        key = parse(presented)
        if self._mounted is not None:
            record = self._mounted.find(presented, key)
            if record is not None:
                return record
        if key is None or self.stored is None:
            return None
        return await self.stored.find(key)
