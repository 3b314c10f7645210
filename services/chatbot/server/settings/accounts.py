"""Settings of who may call, and how limits of keys are counted."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from chatbot.domain.access import ALL_SCOPES, GatewayTrust, Scope
from chatbot.server.settings.section import Section, check_time_zone

_CALLERS_HEADERS = frozenset(
    {"authorization", "x-api-key", "x-user-token", "x-user-id", "x-forwarded-for", "cookie", "host"}
)


class AuthSettings(Section):
    """Who may call. Without a keys file, a pepper and an issuer there is one tenant and no check."""

    keys_file: Path | None = None
    """Lines `name:sha256-hex[:expires]`, or those of `chatbot-keys create --line`; re-read on change."""

    pepper_file: Path | None = None
    """File with the secret that digests of stored keys are made with; switches the keys of `chatbot-keys` on. They live
    where `CHATBOT_HISTORY_STORE` says. A second line may hold the secret before it."""

    sqlite_path: Path = Path("var/chatbot-keys.sqlite3")
    """File of the keys, where `CHATBOT_HISTORY_STORE=sqlite`."""

    key_days: int = Field(90, ge=1, le=3650)
    """Life of a key where `chatbot-keys` is not told another, days."""

    max_key_days: int = Field(365, ge=1, le=3650)
    """Longest life that a key may be given, days."""

    jwt_issuer: str = ""
    """Whose JSON Web Tokens are taken as keys (`iss`); empty: none. RS256, ES256 and EdDSA; `sub` is the user."""

    jwt_audience: str = ""
    """What tokens must be for (`aud`); needed with an issuer."""

    jwt_jwks_file: Path | None = None
    """File with the issuer's public keys (JWKS); re-read on change. This or the address is needed with an issuer."""

    jwt_jwks_url: str = Field("", pattern=r"^(https://[^@\s]+|http://127\.0\.0\.1(:\d+)?/[^@\s]*)?$")
    """Address of the issuer's public keys, https; fetched when they are 10 minutes old and for unknown ones, at most
    once a minute."""

    jwt_tenant_claim: str = Field("tenant", min_length=1, max_length=100)
    """Claim that names the tenant; a token without it is refused."""

    jwt_scope_claim: str = Field("scope", min_length=1, max_length=100)
    """Claim that names scopes, as words with blanks between them or as a list."""

    jwt_scopes: list[Scope] = [Scope.CHAT]
    """Scopes of a token that has no such claim, as a JSON list; never `admin`."""

    jwt_scope_map: list[Annotated[str, Field(pattern=r"^[^=\s]+=\S+( \S+)*$")]] = []
    """What words of the scope claim stand for, as a JSON list: `["staff=chat documents", "authors=characters:write"]`;
    other words open nothing. Empty: the words are scopes."""

    gateway_peers: list[IPv4Network | IPv6Network] = []
    """Networks of a gateway that asks people who they are (as oauth2-proxy does) and names them in a header, as a JSON
    list. Whom it names needs no key, nobody else passes without one. It must overwrite the header in every request.
    Empty: no such header is believed."""

    gateway_user_header: str = Field("X-Auth-Request-User", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    """The header that names the user: once, 1 to 128 printable ASCII characters without a comma."""

    gateway_tenant: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Tenant of the users whom the gateway names."""

    gateway_scopes: list[Scope] = [Scope.CHAT]
    """What users whom the gateway names may without a key, as a JSON list of scopes; never `admin`."""

    admin_api: bool = False
    """Whether keys with the scope `admin` make, list, rotate and revoke keys at `/admin/keys` of the metrics port.
    Needs a pepper."""

    @field_validator("jwt_scope_map")
    @classmethod
    def _stands_for_scopes(cls, lines: list[str]) -> list[str]:
        known = {str(scope) for scope in ALL_SCOPES}
        if any(not set(line.partition("=")[2].split()) <= known for line in lines):
            raise ValueError(f"behind = stand some of {', '.join(sorted(known))}")
        return lines

    @field_validator("gateway_peers")
    @classmethod
    def _are_some(cls, networks: list[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
        if any(not network.prefixlen for network in networks):
            raise ValueError("must name the gateway's networks: of all networks anybody could say who he is")
        return networks

    @field_validator("gateway_user_header")
    @classmethod
    def _is_no_callers(cls, name: str) -> str:
        if name.lower() in _CALLERS_HEADERS:
            raise ValueError("callers send this header themselves: let the gateway take one of its own")
        return name

    @field_validator("jwt_scopes", "gateway_scopes")
    @classmethod
    def _has_no_admin(cls, scopes: list[Scope]) -> list[Scope]:
        if Scope.ADMIN in scopes:
            raise ValueError("admin is for keys alone")
        return scopes

    @property
    def gateway_trust(self) -> GatewayTrust | None:
        """The gateway that is believed; None where none is."""
        if not self.gateway_peers:
            return None
        scopes = frozenset(self.gateway_scopes)
        return GatewayTrust(tuple(self.gateway_peers), self.gateway_user_header, self.gateway_tenant, scopes)

    @property
    def scope_meanings(self) -> dict[str, frozenset[Scope]]:
        """The map of scopes, by word."""
        pairs = (line.partition("=") for line in self.jwt_scope_map)
        return {word: frozenset(map(Scope, scopes.split())) for word, _, scopes in pairs}


class TenantSettings(Section):
    """What tenants may: policies in a file, `tenants.yaml`."""

    file: Path | None = None
    """Policies of tenants, YAML or JSON; read again when it changes. None: `tenants.yaml` beside the SQLite file, where
    `CHATBOT_HISTORY_STORE=sqlite`. Without the file nothing is forbidden."""


class PrivacySettings(Section):
    """What stands for people where their names must not."""

    secret_file: Path | None = None
    """File with the secret that pseudonyms of users are made with, for records of use, counters and logs; up to three
    that were there before may stand below it. None: `CHATBOT_AUTH_PEPPER_FILE`; without that, where
    `CHATBOT_HISTORY_STORE=sqlite`, a file is made beside the history's. With neither, records name no users."""


class AuditSettings(Section):
    """Records of what administrators and operators did."""

    sqlite_path: Path | None = None
    """File of the records, where `CHATBOT_HISTORY_STORE=sqlite`; else they are in MongoDB. None:
    `chatbot-audit.sqlite3` beside the history's. `chatbot-keys audit` reads them."""


class UsageSettings(Section):
    """What each request took: counts, a pseudonym and a cost, never text."""

    enabled: bool = True
    """Whether requests are recorded. They live where `CHATBOT_HISTORY_STORE` says."""

    sqlite_path: Path | None = None
    """File of the records, where `CHATBOT_HISTORY_STORE=sqlite`. None: `chatbot-usage.sqlite3` beside the history's."""

    prices_file: Path | None = None
    """Price table, YAML; checked at start. Without one nothing has a cost, and limits in dollars let nobody
    spend any."""

    raw_days: int = Field(30, ge=1, le=3650)
    """Records of single requests are kept for so long, days."""

    daily_days: int = Field(400, ge=1, le=3650)
    """Sums of days are kept for so long, days. They name keys, no users."""

    max_waiting: int = Field(20_000, ge=1, le=1_000_000)
    """Records that wait in memory while the store is away; those beyond are lost, and counted."""


class LimitSettings(Section):
    """How limits of keys are counted; the limits themselves are each key's (`chatbot-keys`)."""

    sqlite_path: Path = Path("var/chatbot-limits.sqlite3")
    """File of the counters, where `CHATBOT_HISTORY_STORE=sqlite`; else they are in MongoDB."""

    redis_url_file: Path | None = None
    """File with the URL of a Redis or Valkey, `redis://user:password@host:6379/0` or `rediss://…`: limits are counted
    there instead. It must forget nothing by itself (`maxmemory-policy noeviction`)."""

    time_zone: str = "UTC"
    """IANA name of the time zone in whose midnight days and months of quotas begin."""

    replicas: int = Field(1, ge=1, le=1000)
    """Processes that serve the same keys: while the store is away each grants this part of every limit."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return check_time_zone(name)
