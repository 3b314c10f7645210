"""What administrators send and see of keys. What is not known is refused: a typing error must not widen a key."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.api.schemas import TextModel, UserId, printable
from chatbot.core.accounts.desk import MAX_OVERLAP_SECONDS
from chatbot.domain.access import ALL_SCOPES, KeyRecord, Scope
from chatbot.domain.generation import Backend
from chatbot.domain.limits import MOST

TENANT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SERVICES: Final = (OFFICE.name, CHARACTER.name)
_MOST_SECONDS: Final = 3650 * 86_400
_LIFE: Final = Field(None, ge=1, le=_MOST_SECONDS, description="Default: CHATBOT_AUTH_KEY_DAYS.")
_SCOPES: Final = sorted(map(str, ALL_SCOPES))


class Strict(TextModel):
    """Fields that nobody knows are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LimitFields(Strict):
    """Limits of a key; what is left out is not limited."""

    requests_per_minute: int | None = Field(None, ge=1, le=MOST)
    burst: int | None = Field(None, ge=1, le=MOST, description="Requests at once; needs requests_per_minute.")
    tokens_per_minute: int | None = Field(None, ge=1, le=MOST)
    tokens_per_day: int | None = Field(None, ge=1, le=MOST)
    tokens_per_month: int | None = Field(None, ge=1, le=MOST)
    micro_usd_per_day: int | None = Field(None, ge=1, le=MOST, description="Millionths of a dollar.")
    concurrent: int | None = Field(None, ge=1, le=MOST, description="Requests at the same time, waiting ones too.")


class NewKeyFields(Strict):
    """A key that somebody wants. Empty lists of services, backends and networks stand for all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tenant": "team-a", "label": "their app's server"}]})

    tenant: str = Field(pattern=TENANT_PATTERN, description="Conversations, fairness and limits live inside it.")
    label: Annotated[str, AfterValidator(printable)] = Field("", max_length=100, description="For people.")
    scopes: list[str] = Field(_SCOPES, description=f"Some of {', '.join(sorted(map(str, Scope)))}; admin stands alone.")
    services: list[str] = Field([], max_length=2, description=f"Some of {', '.join(SERVICES)}.")
    backends: list[str] = Field([], max_length=2, description=f"Some of {', '.join(map(str, Backend))}.")
    networks: list[str] = Field([], max_length=64, description="Where callers may come from: 10.0.0.0/8.")
    user: UserId | None = Field(None, description="The one user that the key speaks for.")
    signer: str | None = Field(None, max_length=4096, description="Public key (PEM) of who signs tokens of its users.")
    limits: LimitFields = LimitFields()
    lifetime_seconds: int | None = _LIFE
    starts_in_seconds: int = Field(0, ge=0, le=_MOST_SECONDS, description="Not valid before.")


class RotateFields(Strict):
    """How a key is replaced."""

    overlap_seconds: int = Field(86_400, ge=0, le=MAX_OVERLAP_SECONDS, description="The old key is valid for so long.")
    lifetime_seconds: int | None = _LIFE


class KeyLine(BaseModel):
    """A key as it is kept, without anything that opens.

    `state` is valid, rotated (valid until its end, another took its place), expired, revoked or not yet.
    """

    id: str
    tenant: str
    label: str
    state: str
    scopes: list[str]
    services: list[str]
    backends: list[str]
    networks: list[str]
    user: str | None
    user_from: str
    signer: str
    limits: dict[str, int | str]
    created_at: datetime | None
    not_before: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str


class KeyPage(BaseModel):
    """Some of the keys; `next_after` is `after` of the next page, null where there is none."""

    keys: list[KeyLine]
    next_after: str | None


class MintedKey(BaseModel):
    """A new key. `key` is shown this once."""

    key: str
    record: KeyLine


def line_of(record: KeyRecord, now: float) -> KeyLine:
    """A key as administrators see it."""
    return KeyLine(
        id=record.id,
        tenant=record.tenant,
        label=record.label,
        state=record.state_at(now),
        user_from=record.rights.user_from,
        created_at=_moment(record.created_at),
        not_before=_moment(record.not_before),
        expires_at=_moment(record.expires_at),
        last_used_at=_moment(record.last_used_at),
        replaced_by=record.replaced_by,
        **record.rights.fields(),
    )


def _moment(unix_seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(unix_seconds, UTC) if unix_seconds else None
