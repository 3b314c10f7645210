"""What `chatbot-keys` is asked: words on the command line, judged before any store is opened."""

import argparse
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from chatbot import __version__
from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.core.accounts.key_text import is_key_id
from chatbot.domain.access import ALL_SCOPES, Network, Scope
from chatbot.domain.generation import Backend
from chatbot.domain.limits import MOST, Limits
from chatbot.domain.usage.prices import MICRO_USD

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOLLARS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?", re.ASCII)
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")
_NOTED: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MAX_USER, _MAX_LABEL, _DIGITS = 128, 100, 13


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; ends the process with 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="chatbot-keys", description="API keys: make, list, rotate and revoke them. Settings as for the services."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_create(commands.add_parser("create", help="make a key; it is printed once, on standard output"))
    listing = commands.add_parser("list", help="show all keys, never the keys themselves")
    listing.add_argument("--tenant", type=tenant, help="of one tenant only")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    rotate = commands.add_parser(
        "rotate", help="make a sibling with the same rights; the old one ends after the overlap"
    )
    rotate.add_argument("id", type=key_id)
    rotate.add_argument("--overlap", type=seconds, default=_UNITS["d"], metavar="24h", help="default: 24h")
    rotate.add_argument("--lifetime", type=seconds, metavar="90d", help="default: CHATBOT_AUTH_KEY_DAYS")
    limit = commands.add_parser("limit", help="put other limits in the place of a key's; without any, it has none")
    limit.add_argument("id", type=key_id)
    _add_limits(limit)
    commands.add_parser("revoke", help="end a key, everywhere within 10 s").add_argument("id", type=key_id)
    audit = commands.add_parser("audit", help="who did what: read the records, or check that nobody changed them")
    audit.add_argument("deed", choices=("list", "verify"))
    audit.add_argument("--noted", type=noted, metavar="NUMBER:DIGEST", help="verify: a record that was noted elsewhere")
    audit.add_argument("--last", type=count, default=50, metavar="50", help="list: so many, the newest")
    pseudonym = commands.add_parser("pseudonym", help="what stands for a user in the logs")
    pseudonym.add_argument("--tenant", type=tenant, required=True)
    pseudonym.add_argument("user", type=user)
    return parser.parse_args(arguments)


def _add_create(create: argparse.ArgumentParser) -> None:
    create.add_argument("--tenant", type=tenant, required=True, help="whose key; conversations live inside a tenant")
    create.add_argument("--label", type=label, default="", help="for people: who has it, what for")
    create.add_argument(
        "--scopes", type=one_of(Scope), default=ALL_SCOPES, metavar="chat,…", help=_all(Scope) + " but admin"
    )
    services = (OFFICE.name, CHARACTER.name)
    create.add_argument("--services", type=one_of(services), default=(), metavar="office,…", help=_all(services))
    create.add_argument("--backends", type=one_of(Backend), default=(), metavar="llama,…", help=_all(Backend))
    create.add_argument(
        "--networks",
        type=networks,
        default=(),
        metavar="10.0.0.0/8,…",
        help="where callers may come from; default: all",
    )
    create.add_argument("--user", type=user, help="the one user that the key speaks for; default: requests name users")
    create.add_argument(
        "--signer",
        type=signer,
        metavar="user.pub",
        help="file with a public key (PEM): each request then brings a token of its user, signed with the private one",
    )
    _add_limits(create)
    create.add_argument("--lifetime", type=seconds, metavar="90d", help="default: CHATBOT_AUTH_KEY_DAYS")
    create.add_argument("--not-before", type=moment, default=0.0, metavar="2027-01-01", help="valid from then on, UTC")
    create.add_argument(
        "--line", action="store_true", help="keep it nowhere: print a line for CHATBOT_AUTH_KEYS_FILE below the key"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Limits of a key, counted over all keys that it is rotated into."""
    limits = parser.add_argument_group("limits", "default: none; tokens are those of prompts and answers")
    limits.add_argument("--requests-per-minute", type=count, metavar="60")
    limits.add_argument("--burst", type=count, metavar="10", help="requests at once; default: those of a minute")
    limits.add_argument("--tokens-per-minute", type=count, metavar="20000")
    limits.add_argument("--tokens-per-day", type=count, metavar="200000", help="days begin in CHATBOT_LIMITS_TIME_ZONE")
    limits.add_argument("--tokens-per-month", type=count, metavar="2000000")
    limits.add_argument("--usd-per-day", type=micro_usd, metavar="2.50", help="priced by CHATBOT_USAGE_PRICES_FILE")
    limits.add_argument("--concurrent", type=count, metavar="4", help="requests at the same time, waiting ones too")


def limits_of(asked: argparse.Namespace) -> Limits:
    """The limits that were asked for.

    Raises:
        ValueError: They make no sense together.
    """
    names = ("requests_per_minute", "burst", "tokens_per_minute", "tokens_per_day", "tokens_per_month", "concurrent")
    given = {name: getattr(asked, name) for name in names}
    try:
        return Limits.parse(given | {"micro_usd_per_day": asked.usd_per_day})
    except ValueError as exc:
        raise ValueError(f"limits: {exc}") from None


def noted(text: str) -> tuple[int, str]:
    """A record's number and digest, as `audit verify` prints them."""
    found = _NOTED.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("a record's number and digest, as audit verify prints them")
    return int(found[1]), found[2]


def count(text: str) -> int:
    """A limit."""
    is_right = text.isascii() and text.isdigit() and len(text) <= _DIGITS and 1 <= int(text) <= MOST
    return int(_checked(text, is_right, f"a whole number from 1 to {MOST}"))


def micro_usd(text: str) -> int:
    """Dollars, as millionths."""
    is_right = _DOLLARS.fullmatch(text) is not None and 1 <= Decimal(text) * MICRO_USD <= MOST
    return int(Decimal(_checked(text, is_right, "dollars, as 2.50, with at most 6 decimals")) * MICRO_USD)


def tenant(text: str) -> str:
    """A tenant's name."""
    return _checked(text, _TENANT.fullmatch(text) is not None, "letters, digits, . _ -, at most 64, no sign first")


def key_id(text: str) -> str:
    """The id of a key; a whole key is refused, so that none stays in a shell's history for nothing."""
    return _checked(text, is_key_id(text), "the 12 characters behind cbk_, as `chatbot-keys list` shows them")


def user(text: str) -> str:
    """A user's id, as requests have it."""
    text = unicodedata.normalize("NFC", text)
    return _checked(text, 1 <= len(text) <= _MAX_USER and text.isprintable(), f"1-{_MAX_USER} printable characters")


def signer(text: str) -> str:
    """The public key in a file."""
    from chatbot.adapters.keys.user_tokens import WrongSigner, parse_signer  # 0.1 CPU s, for keys that want it

    try:
        return parse_signer(Path(text).read_text("ascii"))
    except (WrongSigner, OSError, UnicodeDecodeError) as exc:
        problem = str(exc) if isinstance(exc, WrongSigner) else "cannot be read as PEM"
        raise argparse.ArgumentTypeError(problem) from None


def label(text: str) -> str:
    """A note for people."""
    return _checked(text, len(text) <= _MAX_LABEL and text.isprintable(), f"at most {_MAX_LABEL} printable characters")


def seconds(text: str) -> float:
    """A duration: `90d`, `24h`, `15m`, `0s`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("a number and s, m, h or d: 24h")
    return int(found[1]) * _UNITS[found[2]]


def moment(text: str) -> float:
    """A date or time, ISO 8601, UTC where it names no zone; as Unix seconds."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a date or time like 2027-01-01T09:00:00+09:00") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def networks(text: str) -> tuple[Network, ...]:
    """Networks with commas between them."""
    try:
        return tuple(ip_network(one) for one in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("networks like 10.0.0.0/8,fd00::/8") from None


def one_of(known: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """Words of a closed set with commas between them."""
    words = {str(word): word for word in known}

    def chosen(text: str) -> frozenset[str]:
        names = text.split(",")
        if not words.keys() >= set(names):
            raise argparse.ArgumentTypeError(f"some of {','.join(words)}")
        return frozenset(words[name] for name in names)

    return chosen


def _all(known: Iterable[str]) -> str:
    return f"some of {','.join(map(str, known))}; default: all"


def _checked(text: str, is_right: bool, wanted: str) -> str:
    if not is_right:
        raise argparse.ArgumentTypeError(wanted)
    return text
