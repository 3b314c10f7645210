"""What all groups of settings have in common."""

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_time_zone(name: str) -> str:
    """The name of a time zone, as it came.

    Raises:
        ValueError: There is none.
    """
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError("no time zone of that name; take one such as Asia/Seoul or UTC") from None
    return name
