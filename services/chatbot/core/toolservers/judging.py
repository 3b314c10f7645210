"""Whether one tool of a server is offered: allowed by name, approved by pin, and of a schema that holds.

And whether its calls ask first.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatbot.core.agent.toolbox import definition_of
from chatbot.core.tools.contract import Approval, Reach
from chatbot.core.toolservers.definition import DefinitionRefused, full_name, pin_of, told_description, told_schema
from chatbot.core.toolservers.tool import METRIC_LABEL, RemoteTool
from chatbot.domain.tools import ToolDefinition
from chatbot.domain.toolservers.server import RemoteDefinition, ToolServer
from chatbot.domain.toolservers.standing import ToolStanding, ToolState

CompileCheck = Callable[[Sequence[ToolDefinition]], bool]
"""Whether calls of all these tools together can be held to their schemas."""
SOURCE: Final = "mcp:"


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What the operator says of one server.

    Attributes:
        pins: Tools that are allowed, by the server's name of them, with the pin of their definition; "" for none.
        writes: Tools that are never offered.
        confirm: Tools that do more than read: their calls run once their user says so. Besides, what the server itself
            says that it writes.
        takes_first: Whether a definition without a pin is approved as it was seen first, until the process ends; and
            where no tool is named at all, every tool is allowed.
        is_inside: Whether what the server is told stays in the cluster.
        timeout_seconds: Of a call.
    """

    pins: Mapping[str, str] = field(default_factory=dict)
    writes: frozenset[str] = frozenset()
    confirm: frozenset[str] = frozenset()
    takes_first: bool = False
    is_inside: bool = False
    timeout_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One tool of a server, and what the loop calls where it is not withdrawn."""

    standing: ToolStanding
    tool: RemoteTool | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the tools of one server.

    Attributes:
        first_pins: Pins that were seen first, for policies that take them; the judge adds to them.
        compiles: Judges schemas.
        is_offered: What tools ask when they are called.
    """

    server: ToolServer
    policy: ServerPolicy
    first_pins: MutableMapping[str, str]
    compiles: CompileCheck
    is_offered: Callable[[RemoteTool], bool]

    def judged(self, name: str, definition: RemoteDefinition | None, down: str) -> Judged:
        """One tool.

        Args:
            name: The server's own name of it.
            definition: None where the server has none of that name.
            down: Why the server cannot be asked; "" where it can.
        """
        source, pin, shown = f"{SOURCE}{self.server.name}", "", f"{self.server.name}__…"
        try:
            shown = full_name(self.server.name, name)
            if definition is None:
                raise DefinitionRefused("missing")
            pin = pin_of(definition)
            self._check(name, pin)
            tool = self._tool(shown, definition, pin)
        except DefinitionRefused as exc:
            state, reason = ToolState.WITHDRAWN, exc.reason
            if reason == "missing" and down:
                state, reason = ToolState.UNAVAILABLE, down
            return Judged(ToolStanding(shown, source, state, reason, pin=pin))
        state = ToolState.UNAVAILABLE if down else ToolState.AVAILABLE
        asks_first = tool.reach.asks_first is not None
        return Judged(ToolStanding(shown, source, state, down, tool.description, pin, asks_first), tool)

    def _check(self, name: str, pin: str) -> None:
        """Refuse what is not allowed, more than reading, or not approved.

        Raises:
            DefinitionRefused: Says why.
        """
        policy = self.policy
        if name in policy.writes:
            raise DefinitionRefused("writes")
        if name not in policy.pins and not (policy.takes_first and not policy.pins):
            raise DefinitionRefused("not_allowed")
        approved = policy.pins.get(name, "")
        if not approved and policy.takes_first:
            approved = self.first_pins.setdefault(name, pin)
        if not approved:
            raise DefinitionRefused("not_approved")
        if approved != pin:
            raise DefinitionRefused("changed")

    def _tool(self, name: str, definition: RemoteDefinition, pin: str) -> RemoteTool:
        """What the loop calls.

        Raises:
            DefinitionRefused: `bad_schema`, `hidden_text`.
        """
        asks_first = definition.name in self.policy.confirm or definition.says_it_writes
        reach = Reach(
            leaves=not self.policy.is_inside,
            is_outside=True,
            seconds=self.policy.timeout_seconds,
            label=METRIC_LABEL,
            asks_first=Approval(self.server.name, pin) if asks_first else None,
        )
        description, schema = told_description(definition), told_schema(definition)
        tool = RemoteTool(name, description, schema, reach, self.server, definition.name, self.is_offered)
        if not self.compiles([definition_of(tool)]):
            raise DefinitionRefused("bad_schema")
        return tool
