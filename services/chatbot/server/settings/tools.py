"""Tools that the services run themselves."""

from pydantic import Field, field_validator

from chatbot.server.settings.section import Section, check_time_zone
from chatbot.server.settings.tool_servers import McpServerSettings


class ToolSettings(Section):
    """Tools that the services run themselves: time, arithmetic, units of measure, the day's fortune, emotion."""

    enabled: bool | None = None
    """Whether the local model may call them for `/Llama`; each question then begins with a short decision. None: on
    for office, off for character. The demo model is never offered any."""

    time_zone: str = "Asia/Seoul"
    """IANA name of the time zone that is meant where a question names no place."""

    mcp: list[McpServerSettings] = []
    """MCP servers whose tools the local model may call, a JSON list of objects (docs/operations.md, Tool servers)."""

    confirm_seconds: float = Field(600.0, ge=30, le=3600)
    """How long a call that asks first can be confirmed, seconds."""

    @field_validator("mcp")
    @classmethod
    def _have_names(cls, servers: list[McpServerSettings]) -> list[McpServerSettings]:
        if len({server.name for server in servers}) < len(servers):
            raise ValueError("two servers have one name")
        return servers

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return check_time_zone(name)
