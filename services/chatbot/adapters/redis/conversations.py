"""History in Redis or Valkey: a hash a conversation, one script a turn, any number of processes.

Every key ends by itself, three hours (`GRACE`) after its conversation did: until then an epoch never starts anew. What
the server drops earlier, or forgets when it starts again, is lost without a trace, an erasure that was to be remembered
above all; so a server that may evict keys is refused, and one without an append-only file is warned of.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from redis.exceptions import NoPermissionError, ResponseError

from chatbot.adapters.history_bounds import GRACE, TOMBSTONE, HistoryBounds, stored_turn, utc_now
from chatbot.adapters.redis.connection import Purpose, RedisConnection
from chatbot.adapters.redis.names import (
    PREFIX,
    Place,
    foreign,
    milliseconds,
    owned_by,
    read_conversation,
    read_turn,
    time_of,
    turn_arguments,
    turn_row,
)
from chatbot.adapters.redis.removal import Removal
from chatbot.adapters.redis.scripts import APPEND, ERASE, REMEMBER, RETRACT, SUMMARISE, SWAP
from chatbot.adapters.redis.standing import of_row, summary_arguments, summary_of_row, values
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased, StoreUnavailable
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary

T = TypeVar("T")
PURPOSE: Final = Purpose("CHATBOT_HISTORY_REDIS_URL_FILE", f"let it do what docs/operations.md says on {PREFIX}*")
_SWEEP_EVERY: Final = timedelta(minutes=10)
_PAGE: Final = 200
_NEVER_EVICTS: Final = "noeviction"
_LOG = logging.getLogger(__name__)


class RedisConversations:
    """`ConversationStore` in Redis or Valkey."""

    def __init__(self, server: RedisConnection, bounds: HistoryBounds, clock: Callable[[], datetime]) -> None:
        self._server = server
        self._bounds = bounds
        self._clock = clock
        script = server.client.register_script
        self._append, self._erase, self._retract = script(APPEND), script(ERASE), script(RETRACT)
        self._remember, self._summarise, self._swap = map(script, (REMEMBER, SUMMARISE, SWAP))
        self._removal = Removal(server)
        self._is_examined = False
        self._refused = ""
        self._swept_at: datetime | None = None

    @classmethod
    def open(cls, url: str, bounds: HistoryBounds, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Make the store; the first call connects, so `ping` tells whether the server answers.

        Args:
            url: `redis://` or, by TLS, `rediss://`, with user and password.
            bounds: What is kept of a conversation.
            clock: Time, UTC.

        Raises:
            ValueError: `url` is none; the message does not repeat it.
        """
        return cls(RedisConnection.open(url, PURPOSE), bounds, clock)

    async def load(self, key: ConversationKey) -> Conversation:
        """Read a conversation. See `ConversationStore`."""
        row = await self._call(lambda: self._client.hgetall(Place.of(key).key))
        if not row or _is_over(row.get("expires_at"), self._clock()):
            return Conversation(key)
        return replace(read_conversation(key, row), standing=of_row(row), summary=summary_of_row(row))

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """Store a turn. See `ConversationStore`."""
        turn, place, now = stored_turn(turn), Place.of(key), self._clock()
        arguments = [
            *_named_until(place, now, self._bounds.expiry(now)),
            *(str(epoch), "1" if local_only else "0", *turn_arguments(turn)),
            *(str(self._bounds.max_turns), str(self._bounds.max_bytes)),
        ]
        outcome, *there = await self._call(lambda: self._append(keys=place.keys, args=arguments))
        if outcome == "erased":
            raise ConversationErased
        if outcome == "there":
            return read_turn(there[0])
        await self._sweep(now)
        return turn

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> bool:
        """Set what stands beside the turns. See `ConversationStore`."""
        arguments = [str(milliseconds(self._clock())), *values(note, pins)]
        return bool(await self._call(lambda: self._remember(keys=Place.of(key).keys, args=arguments)))

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        """Keep a summary. See `ConversationStore`."""
        arguments = [str(milliseconds(self._clock())), *summary_arguments(read, summary)]
        return bool(await self._call(lambda: self._summarise(keys=Place.of(read.key).keys, args=arguments)))

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        """Put other proposals in the place of a turn's. See `ConversationStore`."""
        arguments = [turn.turn_id, turn_row(turn), turn_row(replace(turn, proposals=proposals))]
        return bool(await self._call(lambda: self._swap(keys=Place.of(key).keys, args=arguments)))

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations. See `ConversationStore`."""
        owned, now = owned_by(service, caller), self._clock()
        found: list[ConversationSummary] = []
        while len(found) < limit:
            begin = f"({after}" if after else "-"
            members = await self._call(lambda begin=begin: self._client.zrangebylex(owned, begin, "+", 0, _PAGE))  # type: ignore[misc]
            found += await self._summaries([ConversationKey(service, caller, member) for member in members], now)
            if len(members) < _PAGE:
                break
            after = members[-1]
        return tuple(found[:limit])

    async def erase(self, key: ConversationKey) -> None:
        """Empty a conversation and leave a tombstone. See `ConversationStore`."""
        place, now = Place.of(key), self._clock()
        arguments = _named_until(place, now, now + TOMBSTONE)
        await self._call(lambda: self._erase(keys=place.keys, args=arguments))

    async def retract(self, key: ConversationKey, turn_id: str) -> None:
        """Take one turn back. See `ConversationStore`."""
        place = Place.of(key)
        await self._call(lambda: self._retract(keys=place.keys, args=[place.member, place.name, turn_id]))

    async def ping(self) -> None:
        """Ask the server, and whether it keeps what it is told. See `ConversationStore`."""
        self._is_examined = False
        await self._call(self._client.ping)

    async def close(self) -> None:
        """Give back the connections."""
        await self._server.close()

    @property
    def _client(self) -> Any:
        return self._server.client

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        async def examined() -> T:
            if not self._is_examined:
                await self._examine()
                self._is_examined = True
            return await operation()

        return await self._server.call(examined)

    async def _examine(self) -> None:
        """Refuse a server that may drop conversations to make room; at first, until it is mended, and now and then."""
        try:
            told = await self._client.info()
        except ResponseError as exc:
            if not isinstance(exc, NoPermissionError) and "unknown" not in str(exc):
                raise
            _LOG.warning("history: this Redis does not tell its maxmemory-policy; it has to be noeviction")
            return
        policy = told.get("maxmemory_policy", _NEVER_EVICTS)
        may_evict = policy != _NEVER_EVICTS and told.get("maxmemory", 0)
        if may_evict and policy != self._refused:
            _LOG.error("history: not used, since maxmemory-policy %s may drop conversations: set noeviction", policy)
        self._refused = policy if may_evict else ""
        if may_evict:
            raise StoreUnavailable(f"Redis: maxmemory-policy {policy} may drop conversations: set {_NEVER_EVICTS}")
        if not told.get("aof_enabled", 1):
            _LOG.warning("history: this Redis has no append-only file; a restart of it loses conversations")

    async def _summaries(self, keys: list[ConversationKey], now: datetime) -> list[ConversationSummary]:
        async def heads() -> list[Any]:
            pipe = self._client.pipeline(transaction=False)
            for key in keys:
                pipe.hmget(Place.of(key).key, "turns", "updated_at", "expires_at")
            return list(await pipe.execute())

        rows = await self._call(heads) if keys else []
        return [
            ConversationSummary(key.db_id, int(turns), time_of(int(updated_at)))
            for key, (turns, updated_at, expires_at) in zip(keys, rows, strict=True)
            if turns and int(turns) and not _is_over(expires_at, now)
        ]

    async def _sweep(self, now: datetime) -> None:
        """Drop names of what the server has dropped, now and then; a turn is stored whether that works or not."""
        if self._swept_at is None or now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at, self._is_examined = now, False
            try:
                await self._removal.sweep(milliseconds(now))
            except StoreUnavailable as exc:
                _LOG.info("history: names of ended conversations stay for now: %s", exc)


def _named_until(place: Place, now: datetime, expires: datetime) -> list[str]:
    """Member, name, now, end of what is seen, life of the key, end of the key: what scripts begin with."""
    ends = milliseconds(expires + GRACE)
    return [
        *(place.member, place.name, str(milliseconds(now)), str(milliseconds(expires))),
        *(str(ends - milliseconds(now)), str(ends)),
    ]


def _is_over(expires_at: str | None, now: datetime) -> bool:
    try:
        return int(expires_at or "") <= milliseconds(now)
    except ValueError:
        raise foreign() from None
