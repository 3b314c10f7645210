"""What the README shows: its commands, the curl examples and their answers."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@dataclass(frozen=True)
class Example:
    """One `$ curl` with the answer that stands below it. Only the options that the README uses are understood."""

    command: str
    answer: str
    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


def text() -> str:
    return README.read_text()


def examples() -> list[Example]:
    """Every curl of the README, in order."""
    return [parsed(command, answer) for command, answer in _commands() if command.startswith("curl ")]


def parsed(command: str, answer: str) -> Example:
    """Read a curl command line.

    Raises:
        ValueError: It uses an option that is not known here.
    """
    words = iter(shlex.split(command)[1:])
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word in ("-s", "-sN"):
            continue
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers[name] = value.strip()
        elif word == "-d":
            body = next(words)
            method = "POST"
        elif word.startswith("-"):
            raise ValueError(f"unknown option {word}")
        else:
            url = word
    return Example(command, answer, method, url, headers, body)


def _commands() -> Iterator[tuple[str, str]]:
    """`$ command` and the lines below it, from every console block."""
    for block in re.findall(r"```console\n(.*?)```", text(), re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, answer = part.partition("\n")
            yield command.strip(), answer.strip()
