"""Why a tool is not taken."""


class SchemaRefused(Exception):
    """A tool's definition cannot be turned into a grammar.

    Args:
        tool: Name of the tool, or its place (`#3`) where the name itself is wrong; "" for an answer's schema.
        pointer: JSON pointer (RFC 6901) to the part of its parameters that is refused, "" for the whole.
        keyword: The keyword that is refused there.
        problem: What is wrong with it, and the bound where there is one; never text of the schema.
    """

    def __init__(self, tool: str, pointer: str, keyword: str, problem: str) -> None:
        super().__init__(f"tool {tool}, parameters{pointer or ' '}: {keyword}: {problem}".replace(" :", ":"))
        self.tool = tool
        self.pointer = pointer
        self.keyword = keyword
        self.problem = problem


def escaped(name: str) -> str:
    """One step of a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
