"""Settings -> where conversations and keys live: one file each on one machine, one database in a cluster."""

from pathlib import Path
from zoneinfo import ZoneInfo

from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.core.accounts.key_check import KeyCheck, Tokens
from chatbot.core.accounts.mounted import MountedKeys
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.core.limits.limiter import Limiter, LimiterPolicy
from chatbot.core.limits.windows import Calendar
from chatbot.core.privacy.pseudonym import Pseudonyms
from chatbot.domain.limits import AccountStore, LimitTelemetry
from chatbot.domain.ports import ConversationStore, KeyStore, TokenCheck, UserTokenCheck
from chatbot.domain.tenants.policy import Tenants
from chatbot.domain.usage.prices import PriceTable
from chatbot.server.settings.accounts import AuthSettings
from chatbot.server.settings.whole import Settings


def open_store(settings: Settings) -> ConversationStore:
    """Where conversations live; it connects when it is first used.

    Raises:
        ValueError, OSError: The file with the connection string, or with the URL, is missing or holds none.
    """
    history = settings.history
    bounds = HistoryBounds(history.max_turns, history.max_bytes, history.ttl_seconds)
    if history.store == "sqlite":
        return SqliteConversations.open(history.sqlite_path, bounds)
    if history.store == "redis":
        from chatbot.adapters.redis.conversations import RedisConversations  # as costly as the one below

        return RedisConversations.open(history_redis_url(settings), bounds)
    from chatbot.adapters.mongo import MongoConversations  # the driver costs 0.3 CPU s and 25 MiB to import

    return MongoConversations.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver, bounds)


def open_tenants(settings: Settings) -> PolicyFile:
    """Policies of tenants.

    Raises:
        ValueError: The file cannot be used, or is named in a folder that is not there.
    """
    return PolicyFile(followed_path(settings, settings.tenants.file, "CHATBOT_TENANTS_FILE", "tenants.yaml"))


def followed_path(settings: Settings, named: Path | None, setting: str, usual: str) -> Path | None:
    """Where a file is that may come later: where a setting names it, else beside the SQLite file, else nowhere.

    Raises:
        ValueError: It is named in a folder that is not there.
    """
    if named is not None and not named.parent.is_dir():
        raise ValueError(f"{setting}: there is no such folder; the file itself may come later")
    if named is None and settings.records_store == "sqlite":
        return settings.history.sqlite_path.with_name(usual)
    return named


def open_keys(settings: Settings, tenants: Tenants) -> KeyCheck:
    """The keys that callers are asked for, of the mounted file, of the store, of both or of none.

    Raises:
        ValueError: A file cannot be used; the message names the setting.
    """
    auth = settings.auth
    mounted = MountedKeys(auth.keys_file) if auth.keys_file is not None else None
    pseudonyms = open_pseudonyms(settings)
    tokens = Tokens(_open_tokens(auth), _user_tokens)
    peppers = Peppers.load(auth.pepper_file) if auth.pepper_file is not None else None
    stored = StoredKeys(open_key_store(settings), peppers) if peppers is not None else None
    keys = KeyCheck(mounted, stored, peppers, tokens, tenants=tenants)
    return keys.naming(pseudonyms).behind(auth.gateway_trust)


def open_pseudonyms(settings: Settings) -> Pseudonyms | None:
    """What stands for users, under the secret of its own file, else under the peppers; on one machine a file is made.

    None in a cluster that was given neither: a secret that each pod makes for itself would name everybody twice.

    Raises:
        ValueError: A file cannot be used; the message names the setting.
    """
    own, pepper_file = settings.privacy.secret_file, settings.auth.pepper_file
    peppers = tuple(Peppers.load(pepper_file).by_id.values()) if pepper_file is not None else ()
    if own is not None:
        return Pseudonyms.load(own, peppers)
    if peppers:
        return Pseudonyms(peppers)
    if settings.records_store != "sqlite":
        return None
    return Pseudonyms.kept_in(settings.history.sqlite_path.with_name("chatbot-pseudonyms.secret"))


def open_key_store(settings: Settings) -> KeyStore:
    """Where keys are kept; it connects when it is first used.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    if settings.records_store == "sqlite":
        from chatbot.adapters.keys.sqlite import SqliteKeys

        return SqliteKeys(settings.auth.sqlite_path)
    from chatbot.adapters.keys.mongo import MongoKeys

    return MongoKeys.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)


def open_limiter(settings: Settings, telemetry: LimitTelemetry, prices: PriceTable) -> Limiter:
    """Limits of users, keys and tenants; their store is opened when the first request that has some comes.

    Raises:
        ValueError: As `open_accounts`.
    """
    policy = LimiterPolicy(Calendar(ZoneInfo(settings.limits.time_zone)), settings.limits.replicas)
    return Limiter(open_accounts(settings), policy, telemetry, prices=prices)


def open_accounts(settings: Settings) -> AccountStore:
    """Where limits of keys are counted; it connects when it is first used.

    Raises:
        ValueError: The file with the connection string, or with the URL, is missing or holds none.
    """
    if settings.limits.redis_url_file is not None:
        from chatbot.adapters.limits.redis import RedisAccounts  # the driver costs 0.5 CPU s and 40 MiB to import

        return RedisAccounts.open(line_of(settings.limits.redis_url_file, "CHATBOT_LIMITS_REDIS_URL_FILE"))
    if settings.records_store == "sqlite":
        from chatbot.adapters.limits.sqlite import SqliteAccounts

        return SqliteAccounts(settings.limits.sqlite_path)
    from chatbot.adapters.limits.mongo import MongoAccounts

    return MongoAccounts.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)


def _open_tokens(auth: AuthSettings) -> TokenCheck | None:
    if not auth.jwt_issuer:
        return None
    if not auth.jwt_audience:
        raise ValueError("CHATBOT_AUTH_JWT_AUDIENCE: needed with CHATBOT_AUTH_JWT_ISSUER")
    if (auth.jwt_jwks_file is None) == (not auth.jwt_jwks_url):
        raise ValueError("CHATBOT_AUTH_JWT_JWKS_FILE or CHATBOT_AUTH_JWT_JWKS_URL: set one of them with an issuer")
    # The library costs 0.1 CPU s and 15 MiB to import.
    from chatbot.adapters.keys.issuer_keys import FetchedIssuerKeys, FileIssuerKeys
    from chatbot.adapters.keys.tokens import IssuerTokens, TokenRules

    rules = TokenRules(
        issuer=auth.jwt_issuer,
        audience=auth.jwt_audience,
        tenant_claim=auth.jwt_tenant_claim,
        scope_claim=auth.jwt_scope_claim,
        scopes=frozenset(auth.jwt_scopes),
        meanings=auth.scope_meanings,
    )
    if auth.jwt_jwks_file is None:
        return IssuerTokens(rules, FetchedIssuerKeys(auth.jwt_jwks_url))
    try:
        return IssuerTokens(rules, FileIssuerKeys(auth.jwt_jwks_file))
    except (ValueError, OSError) as exc:
        reason = exc if isinstance(exc, ValueError) else exc.strerror
        raise ValueError(f"CHATBOT_AUTH_JWT_JWKS_FILE: cannot be used: {reason}") from None


def _user_tokens() -> UserTokenCheck:
    from chatbot.adapters.keys.user_tokens import SignedUsers  # as above: for keys that ask for such tokens alone

    return SignedUsers()


def mongo_uri(settings: Settings) -> str:
    """The connection string of the one database.

    Raises:
        ValueError: Its file is missing or cannot be read.
    """
    if settings.mongodb.uri_file is None:
        raise ValueError("CHATBOT_MONGODB_URI_FILE: needed where a setting CHATBOT_…_STORE is mongodb")
    return line_of(settings.mongodb.uri_file, "CHATBOT_MONGODB_URI_FILE")


def history_redis_url(settings: Settings) -> str:
    """The URL of the Redis of conversations.

    Raises:
        ValueError: Its file is missing or cannot be read.
    """
    if settings.history.redis_url_file is None:
        raise ValueError("CHATBOT_HISTORY_REDIS_URL_FILE: needed where CHATBOT_HISTORY_STORE is redis")
    return line_of(settings.history.redis_url_file, "CHATBOT_HISTORY_REDIS_URL_FILE")


def line_of(path: Path, setting: str) -> str:
    """The line that a mounted secret is.

    Raises:
        ValueError: The file is missing, or no text; the message names the setting.
    """
    try:
        return path.read_text("utf-8").strip()
    except OSError as exc:
        raise ValueError(f"{setting}: cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{setting}: is no text") from None
