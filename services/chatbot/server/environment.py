"""Strict reading of the environment: a wrong or unknown variable stops the start and is named."""

import difflib
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from chatbot.server.settings.whole import Settings

PREFIX: Final = "CHATBOT_"
_OTHERS: Final = ("CHATBOT_TEST_", "CHATBOT_OPERATOR_")
# Kubernetes puts these into every pod beside a Service named chatbot-…:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK: Final = re.compile(r".*_SERVICE_HOST|.*_SERVICE_PORT.*")
_PORT: Final = re.compile(r".*_PORT(_.*)?")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://.*|\d+|[\d.:a-f]+|tcp|udp|sctp")


class WrongEnvironment(Exception):
    """One or more variables are wrong; `problems` has one sentence for each, without their values."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load_settings() -> Settings:
    """The settings that this process's environment gives.

    Raises:
        WrongEnvironment: A variable of ours is unknown or has a value that it must not have.
    """
    known = tuple(names())
    strangers = [name for name in sorted(os.environ) if is_unknown(name, os.environ[name], known)]
    if strangers:
        raise WrongEnvironment([_unknown(name, known) for name in strangers])
    try:
        return Settings()
    except ValidationError as exc:
        raise WrongEnvironment(_wrong(exc)) from None
    except SettingsError:
        raise WrongEnvironment([_not_json(name) for name in known if _is_no_list(os.environ.get(name))]) from None


def names() -> Iterator[str]:
    """The name of every variable, in the order of the settings."""
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{PREFIX}{section}_{name}".upper() for name in field.annotation.model_fields)


def shown(settings: Settings) -> str:
    """All settings as `NAME=value` lines. Secrets are in files, so there are only their paths to show."""
    values = (getattr(section, name) for _, section in settings for name in type(section).model_fields)
    return "\n".join(f"{name}={_shown(value)}" for name, value in zip(names(), values, strict=True))


def is_unknown(name: str, value: str, known: Collection[str]) -> bool:
    """Whether a variable looks like ours and is none."""
    if not name.startswith(PREFIX) or name in known or name.startswith(_OTHERS):
        return False
    return not (_SERVICE_LINK.fullmatch(name) or (_PORT.fullmatch(name) and _LINK_VALUE.fullmatch(value)))


def _unknown(name: str, known: Collection[str]) -> str:
    bare = {one.removeprefix(PREFIX): one for one in known}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
    return f"{name} is not a setting" + (f"; did you mean {bare[near[0]]}?" if near else "; --show-settings lists them")


def _wrong(error: ValidationError) -> list[str]:
    """One sentence per variable; a field of several types has several reasons."""
    reasons: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        name = f"{PREFIX}{'_'.join(str(part).upper() for part in one['loc'][:2])}"
        place = _place(one["loc"][2:])
        reasons.setdefault(name, []).append(f"{place}: {one['msg']}" if place else one["msg"])
    return [f"{name}: {'; or '.join(dict.fromkeys(why))}" for name, why in reasons.items()]


def _place(steps: Sequence[int | str]) -> str:
    """Where in a list something is wrong: `[0].name`; "" where it is no list. Names of types are left out."""
    if not steps or not isinstance(steps[0], int):
        return ""
    named = (step for step in steps if isinstance(step, int) or step.isidentifier())
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)


def _is_no_list(value: str | None) -> bool:
    if value is None or not value.startswith("["):
        return value is not None
    try:
        json.loads(value)
    except ValueError:
        return True
    return False


def _not_json(name: str) -> str:
    return f'{name}: not a JSON list; write for example ["10.0.0.0/8"]'


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(
            [item.model_dump(mode="json") if isinstance(item, BaseModel) else str(item) for item in value]
        )
    return str(value).lower() if isinstance(value, bool) else str(value)
