"""MCP servers whose tools the local model may call; a part of the section `tools`."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from chatbot.server.settings.section import Section

_ALLOWED: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(@[0-9a-f]{32})?")


def _is_allowed(text: str) -> str:
    if not _ALLOWED.fullmatch(text):
        raise ValueError("write the server's name of a tool, or name@pin with the 32 digits that GET /tools shows")
    return text


AllowedTool = Annotated[str, AfterValidator(_is_allowed)]
"""`search` or `search@<pin>`."""


class McpServerSettings(Section):
    """One MCP server: where it is, and what of it may be used."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$")
    """Its tools are called `name__tool`."""

    url: str = Field("", pattern=r"^$|^https?://[^@\s?#]+$")
    """Streamable HTTP. Exactly this host and port are reached, also inside the cluster."""

    command: list[str] = []
    """A program that speaks on its standard input and output; for `chatbot-local` alone."""

    tools: list[AllowedTool] = []
    """Tools that are allowed, as `name` or `name@pin`. What has no pin is listed with its pin, and is not offered."""

    approve: str = Field("pin", pattern=r"^(pin|first)$")
    """`first`: a tool without a pin is approved as it was first seen by this process, and all tools where `tools` is
    empty. For a machine of one's own: replicas would each decide for themselves, and anew with every start."""

    writes: list[str] = []
    """Tools that are never offered."""

    confirm: list[str] = []
    """Tools that do more than read: each call is shown to the user, and run once he confirms it. A tool of which the
    server itself says that it writes asks first in any case."""

    inside: bool = False
    """Whether what the server is told stays in the cluster: its tools may then be called for `local_only`
    conversations, and after other people's text was read."""

    token_file: Path | None = None
    """File with a token that is sent as `Authorization: Bearer`."""

    timeout_seconds: float = Field(15.0, gt=0, le=60)
    """Longest call, seconds."""

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("give a url or a command, one of them")
        return self

    @model_validator(mode="after")
    def _confirms_what_is_allowed(self) -> Self:
        if self.tools and (unknown := set(self.confirm) - set(self.pins())):
            raise ValueError(f"confirm: {', '.join(sorted(unknown))}: name it in tools, too")
        if both := set(self.confirm) & set(self.writes):
            raise ValueError(f"confirm: {', '.join(sorted(both))}: is in writes, so never offered; take it out of one")
        return self

    def pins(self) -> dict[str, str]:
        """The allowed tools with their pins, "" for none."""
        return {name: pin for name, _, pin in (one.partition("@") for one in self.tools)}
