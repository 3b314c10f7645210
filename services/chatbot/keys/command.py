"""The entry point: judge the words, open the store, do one thing, say what was done.

Only a key itself goes to standard output, so that `KEY=$(chatbot-keys create --tenant a)` works; what people want to
know of it goes to standard error.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from chatbot.core.accounts.issue import (
    DAY_SECONDS,
    Issuer,
    LifeTooLong,
    Lives,
    NoSuchKey,
    Wish,
    check_scopes,
    new_record,
)
from chatbot.core.accounts.key_text import KeyText, mint
from chatbot.core.accounts.mounted import line_of
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.audit.audit import Deed
from chatbot.domain.access import KeyRecord, Rights
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import Policy
from chatbot.domain.ports import KeyStore
from chatbot.domain.usage.prices import MICRO_USD
from chatbot.keys.arguments import limits_of, parse
from chatbot.keys.audit import Tampered, read_audit
from chatbot.server.environment import WrongEnvironment, load_settings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.audit import open_audit
from chatbot.server.wiring.stores import open_key_store, open_pseudonyms, open_tenants

FAILED: Final = 1
WRONG_SETTINGS: Final = 2
_COLUMNS: Final = ("id", "tenant", "state", "expires_at", "last_used_at", "label")


def main(arguments: Sequence[str] | None = None) -> None:
    """Exits 0 when it is done, 1 where the store or the key is not there, 2 where a word or a setting is wrong."""
    asked = parse(arguments)
    try:
        settings = load_settings()
        asyncio.run(_run(asked, settings))
    except WrongEnvironment as exc:
        sys.exit(_complain("\n".join(exc.problems), WRONG_SETTINGS))
    except NoSuchKey as exc:
        sys.exit(_complain(f"{exc}: no such key, or it was revoked or rotated before; see chatbot-keys list", FAILED))
    except (StoreUnavailable, Tampered) as exc:
        sys.exit(_complain(str(exc), FAILED))
    except (ValueError, OSError) as exc:
        sys.exit(_complain(str(exc), WRONG_SETTINGS))


async def _run(asked: argparse.Namespace, settings: Settings) -> None:
    if asked.command == "create" and asked.line:
        wish, key = _wish(asked, settings), mint()
        check_scopes(wish.rights)
        _show(new_record(wish, key, time.time()), key, line=True)
        return
    if asked.command == "pseudonym":
        pseudonyms = open_pseudonyms(settings)
        if pseudonyms is None:
            raise ValueError("CHATBOT_PRIVACY_SECRET_FILE: name the file with the secret, here and for the services")
        sys.stdout.write(pseudonyms.of(asked.tenant, asked.user) + "\n")
        return
    if asked.command == "audit":
        await read_audit(asked, open_audit(settings))
        return
    if settings.auth.pepper_file is None:
        raise ValueError(
            "CHATBOT_AUTH_PEPPER_FILE: name a file with a secret (openssl rand -hex 32), here and for the services; or "
            "use `create --line` with a keys file"
        )
    peppers = Peppers.load(settings.auth.pepper_file)
    store, audit = open_key_store(settings), open_audit(settings)
    try:
        if asked.command == "list":
            records = [record for record in await store.listing() if asked.tenant in (None, record.tenant)]
            sys.stdout.write("".join(f"{line}\n" for line in _lines(records, as_json=asked.json)))
            return
        tenant, key_id = getattr(asked, "tenant", ""), getattr(asked, "id", "")
        wanted = _wish(asked, settings) if asked.command == "create" else None
        async with audit.told(Deed(AuditAction(f"key.{asked.command}"), tenant, object=key_id)) as deed:
            record = await _change(asked, settings, (store, Issuer(store, peppers)), wanted)
            deed.tenant, deed.object = record.tenant, record.id
    finally:
        await asyncio.gather(store.close(), audit.store.close())


async def _change(
    asked: argparse.Namespace, settings: Settings, keys: tuple[KeyStore, Issuer], wish: Wish | None
) -> KeyRecord:
    """What was asked for; the key that it was done to, or made."""
    store, issuer = keys
    if wish is not None:
        record, key = await issuer.create(wish)
        _show(record, key)
    elif asked.command == "rotate":
        life = await _next_life(asked, settings, store)
        record, key = await issuer.rotate(asked.id, overlap_seconds=asked.overlap, life_seconds=life)
        _show(record, key)
        _say(f"{asked.id} ends within {asked.overlap / 3600:g} h")
    elif asked.command == "limit":
        record = await issuer.limit(asked.id, limits_of(asked))
        _say(f"{record.id} of {record.tenant}: {_limits(record)}; replicas know within 10 s")
    else:
        record = await issuer.revoke(asked.id)
        _say(f"{record.id} of {record.tenant} is revoked; replicas refuse it within 10 s")
    return record


def _wish(asked: argparse.Namespace, settings: Settings) -> Wish:
    if asked.user is not None and asked.signer:
        raise ValueError("--user, --signer: one of them: the key speaks for one user, or tokens say for whom")
    rights = Rights(
        scopes=frozenset(asked.scopes),
        services=frozenset(asked.services),
        backends=frozenset(map(str, asked.backends)),
        networks=tuple(asked.networks),
        user=asked.user,
        signer=asked.signer or "",
        limits=limits_of(asked),
    )
    expires_at = time.time() + _life_seconds(asked, settings, asked.tenant)
    return Wish(asked.tenant, expires_at, asked.label, rights, asked.not_before)


def _life_seconds(asked: argparse.Namespace, settings: Settings, tenant: str) -> float:
    """How long the key lives."""
    auth = settings.auth
    lives = Lives(auth.key_days * DAY_SECONDS, auth.max_key_days * DAY_SECONDS, open_tenants(settings))
    try:
        return lives.of(tenant, asked.lifetime)
    except LifeTooLong as exc:
        rule = "keys.maxLifetime of the tenant's policy" if exc.is_policy else "CHATBOT_AUTH_MAX_KEY_DAYS"
        raise ValueError(f"--lifetime: at most {exc.longest_seconds / 3600:g}h ({rule})") from None


async def _next_life(asked: argparse.Namespace, settings: Settings, store: KeyStore) -> float:
    """As above, for the sibling of a key whose tenant the store knows."""
    old = (await store.find([asked.id])).get(asked.id)
    return _life_seconds(asked, settings, old.tenant if old else "")


def _show(record: KeyRecord, key: KeyText, *, line: bool = False) -> None:
    sys.stdout.write(key.text + "\n" + (line_of(record, key) + "\n" if line else ""))
    _say(f"{record.id} of {record.tenant}, until {_moment(record.expires_at)}: the key is shown this once")


def _lines(records: Iterable[KeyRecord], *, as_json: bool) -> Iterable[str]:
    rows = [_row(record) for record in records]
    if as_json:
        return (json.dumps(row, ensure_ascii=False) for row in rows)
    table = [_COLUMNS, *(tuple(str(row[name]) for name in _COLUMNS) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_COLUMNS))]
    return ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)


def _row(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "tenant": record.tenant,
        "state": record.state_at(time.time()),
        "expires_at": _moment(record.expires_at),
        "last_used_at": _moment(record.last_used_at),
        "label": record.label,
        "created_at": _moment(record.created_at),
        "replaced_by": record.replaced_by,
        **record.rights.fields(),
        "user_from": record.rights.user_from,
    }


def _limits(record: KeyRecord) -> str:
    limits: dict[Policy, float | None] = {policy: record.rights.limits.of(policy) for policy in Policy}
    if (money := limits[Policy.USD_DAY]) is not None:
        limits[Policy.USD_DAY] = money / MICRO_USD
    return ", ".join(f"{policy} {limit}" for policy, limit in limits.items() if limit is not None) or "no limits"


def _moment(unix_seconds: float | None) -> str:
    return "-" if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")


def _say(text: str) -> None:
    sys.stderr.write(f"chatbot-keys: {text}\n")


def _complain(problem: str, code: int) -> int:
    _say(problem)
    return code
