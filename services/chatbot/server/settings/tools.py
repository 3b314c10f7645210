"""Tools that the services run themselves."""

from pydantic import field_validator

from chatbot.server.settings.section import Section, check_time_zone


class ToolSettings(Section):
    """Tools that the services run themselves: time, arithmetic, units of measure, the day's fortune, emotion."""

    enabled: bool | None = None
    """Whether the local model may call them for `/Llama`; each question then begins with a short decision. None: on
    for office, off for character. The demo model is never offered any."""

    time_zone: str = "Asia/Seoul"
    """IANA name of the time zone that is meant where a question names no place."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return check_time_zone(name)
