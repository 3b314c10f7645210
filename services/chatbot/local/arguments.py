"""The command line of `chatbot-local`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot import __version__

DEFAULT_PORT: Final = 8001


@dataclass(frozen=True, slots=True)
class Choice:
    """What was given; None and "" leave it to the settings."""

    model: str
    sha256: str
    port: int | None
    metrics_port: int | None
    check: bool
    show_settings: bool


def parse(arguments: Sequence[str] | None) -> Choice:
    """Read the command line; ends the process where it is wrong."""
    parser = argparse.ArgumentParser(prog="chatbot-local", description="Both chat services on this machine.")
    parser.add_argument("--model", default="", metavar="PATH|URL", help="GGUF file; default: the demo model, a toy")
    parser.add_argument("--sha256", default="", metavar="HEX", help="refuse the model unless it has this sum")
    parser.add_argument("--port", type=_port, help=f"port of the gateway; default {DEFAULT_PORT}")
    parser.add_argument("--metrics-port", type=_port, help="port of metrics and model state; default 9090")
    parser.add_argument("--check", action="store_true", help="start, ask each service one question, end")
    parser.add_argument("--show-settings", action="store_true", help="print all settings and exit")
    parser.add_argument("--version", action="version", version=__version__)
    return Choice(**vars(parser.parse_args(arguments)))


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is 0-65535; 0 takes a free one")
    return number
