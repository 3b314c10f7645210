"""Characters as objects of a cluster and entries of a file have them: the API's own fields, named in camel case.

One schema for `PUT /characters/{name}`, for the resource's definition (which is made from it) and for what services
read, so that nothing can be applied that is not played.
"""

import re
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from chatbot.api.characters.schemas import CharacterFields
from chatbot.api.schemas import validated
from chatbot.api.texts import text
from chatbot.core.characters.cards.report import Note
from chatbot.domain.characters import Character
from chatbot.domain.errors import InvalidInput, MalformedBody

_LANGUAGE = "en"


def object_name(field: str) -> str:
    """`scan_depth` -> `scanDepth`, `is_enabled` -> `enabled`."""
    head, *rest = field.removeprefix("is_").split("_")
    return head + "".join(word.capitalize() for word in rest)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, or a list of, or may hold; None where it holds plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is Annotated:
        return model_of(get_args(annotation)[0])
    found = [model_of(one) for one in get_args(annotation) if one is not NoneType]
    return next((one for one in found if one is not None), None)


class ObjectWords:
    """See `EntryWords`. What is said is English: it goes to logs and into statuses of objects."""

    def character(self, fields: Mapping[str, Any]) -> Character:
        """See `EntryWords`."""
        body = _snaked(CharacterFields, fields, "")
        try:
            return validated(CharacterFields, body).character()
        except InvalidInput as error:
            path = ".".join(map(_named, error.field.split(".")))
            raise InvalidInput(path, error.problem, **error.limits) from None

    def problem(self, error: InvalidInput | MalformedBody) -> str:
        """See `EntryWords`."""
        if isinstance(error, MalformedBody):
            return text(f"problem.{error.problem}", _LANGUAGE)
        return f"{error.field}: {text(f'problem.{error.problem}', _LANGUAGE, error.limits)}"

    def note(self, note: Note) -> str:
        """See `EntryWords`."""
        return f"{note.place}: {text(f'note.{note.code}', _LANGUAGE)}"


def _named(part: str) -> str:
    """One part of a path: `entries[0]` keeps its number."""
    name, bracket, number = part.partition("[")
    return object_name(name) + bracket + number


def _snaked(model: type[BaseModel], said: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The fields under the names that the model has.

    Raises:
        InvalidInput: The model has no such field.
    """
    known = {object_name(name): (name, model_of(field.annotation)) for name, field in model.model_fields.items()}
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name not in known:
            raise InvalidInput(f"{path}{_shown(name)}", "no_such_field")
        field, inner = known[name]
        found[field] = value if inner is None else _inside(inner, value, f"{path}{name}")
    return found


def _inside(model: type[BaseModel], value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return _snaked(model, value, f"{path}.")
    if isinstance(value, list):
        return [_inside(model, one, f"{path}[{number}]") for number, one in enumerate(value)]
    return value


def _shown(name: object) -> str:
    """A name that somebody made up, in a line of a log."""
    return re.sub(r"[^\w.-]", "?", str(name))[:40]
