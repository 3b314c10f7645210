"""One JSON Schema -> rules. A bounded subset is compiled; the rest is checked when the arguments are there.

Compiled: object (required properties first, then optional ones, in order), array, string with its length up to 500,
integer with its range, number, boolean, null, enum, const, anyOf, oneOf, and `$ref` within the schema. Left for the
check afterwards: ranges of other numbers, `pattern`, `format`, `allOf`, `not` and whatever else a validator knows. So a
grammar may allow a little more than its schema, and orders what JSON does not order; it never writes what is no JSON.
Where nobody checks afterwards, what would be left for that is refused (`is_exact`).

Source of the keywords: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from chatbot.llm.grammar.anything import anything, map_of
from chatbot.llm.grammar.exact import unheld
from chatbot.llm.grammar.ranges import LARGEST, between, bounds_of
from chatbot.llm.grammar.refusal import SchemaRefused, escaped
from chatbot.llm.grammar.rules import SPACE, RuleBook, choice, json_literal, one_of, repeated

MAX_DEPTH: Final = 12
MAX_REFERENCES: Final = 8
MAX_ENUM: Final = 256
MAX_PROPERTIES: Final = 128
MAX_STRING: Final = 500
"""Longest string that is bounded by the grammar: longer ones make it slow, and llama.cpp stops counting at 2,000."""
MAX_ITEMS: Final = 64
MAX_PARTS: Final = 4096
"""Schemas within all tools after references are followed: a hundred that each point at a hundred are a billion."""
MAX_REPETITIONS: Final = 65_536
"""Characters and items that are counted, in strings and lists of different bounds: llama.cpp takes 2 us for each."""
MAX_ALTERNATIVES: Final = 512
"""Values of enums and options of choices within one tool: llama.cpp follows all that begin at one place at once."""
_MAX_NESTED: Final = 4
"""How deep a value goes of which the schema says nothing."""
_Path = tuple[str, ...]


class SchemaCompiler:
    """Compiles the schemas of one tool into a rule book.

    Args:
        tool: Its name, for refusals.
        schema: Its parameters; `$ref` points into it.
        rules: Where rules go.
        is_exact: Refuse what would be left for a check afterwards.
    """

    def __init__(self, tool: str, schema: Mapping[str, Any], rules: RuleBook, *, is_exact: bool = False) -> None:
        self._tool = tool
        self._schema = schema
        self._rules = rules
        self._is_exact = is_exact
        self._alternatives = 0
        self._by_type: dict[str, Callable[[Mapping[str, Any], _Path, int], str]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda schema, path, depth: "boolean",
            "null": lambda schema, path, depth: "null",
        }

    def arguments(self) -> str:
        """The rule of the whole arguments: always an object.

        Raises:
            SchemaRefused: A part of the schema is wrong or beyond a bound.
        """
        schema, path = self._resolved(self._schema, ())
        if schema.get("type", "object") != "object":
            self._refuse(path, "type", 'arguments are an object: say "object"')
        says_nothing = schema.get("properties", {}) == {} and schema.get("required", []) == []
        if says_nothing and "additionalProperties" not in schema:
            return self._rules.add("none", '"{}"')
        return self._object(schema, path, 0)

    def document(self) -> str:
        """The rule of a value of the whole schema.

        Raises:
            SchemaRefused: As `arguments`.
        """
        return self._value(self._schema, (), 0)

    def _value(self, schema: Any, path: _Path, depth: int) -> str:
        self._count_part(path, depth)
        if schema is True or schema == {}:
            return anything(self._rules, _MAX_NESTED)
        schema, path = self._resolved(schema, path)
        if "const" in schema:
            return self._rules.add("const", self._json(schema["const"], path, "const"))
        if "enum" in schema:
            return self._enum(schema["enum"], path)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema and not _says_more(schema):
                options = self._list(schema, keyword, path)
                if not options:
                    self._refuse(path, keyword, "it is empty")
                self._count_alternatives(len(options), path, keyword)
                return self._rules.add("any", choice(self._options(options, (*path, keyword), depth)))
        return self._typed(schema, path, depth)

    def _count_part(self, path: _Path, depth: int) -> None:
        self._rules.parts += 1
        if self._rules.parts > MAX_PARTS:
            self._refuse(path, "$ref", f"references unfold to more than {MAX_PARTS} parts in all")
        if depth > MAX_DEPTH:
            self._refuse(path, "schema", f"deeper than {MAX_DEPTH}")

    def _count_alternatives(self, count: int, path: _Path, keyword: str) -> None:
        self._alternatives += count
        if self._alternatives > MAX_ALTERNATIVES:
            self._refuse(path, keyword, f"more than {MAX_ALTERNATIVES} values and options in all")

    def _options(self, options: Sequence[Any], path: _Path, depth: int) -> list[str]:
        return [self._value(option, (*path, str(n)), depth + 1) for n, option in enumerate(options)]

    def _typed(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        kinds = schema.get("type", _implied(schema))
        if kinds is None:
            return anything(self._rules, _MAX_NESTED)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds or not all(isinstance(kind, str) and kind in self._by_type for kind in kinds):
            self._refuse(path, "type", "one or several of " + ", ".join(self._by_type))
        names = [self._by_type[kind](schema, path, depth) for kind in kinds]
        return names[0] if len(names) == 1 else self._rules.add("any", choice(names))

    def _object(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            self._refuse(path, "properties", "not an object")
        required = self._list(schema, "required", path)
        if not all(isinstance(name, str) for name in required):
            self._refuse(path, "required", "not a list of names")
        if len({*properties, *required}) > MAX_PROPERTIES:
            self._refuse(path, "properties", f"more than {MAX_PROPERTIES}")
        if not properties and not required:
            return self._map(schema, path, depth)
        must = [name for name in properties if name in required]
        must += [name for name in dict.fromkeys(required) if name not in properties]
        may = [name for name in properties if name not in required and properties[name] is not False]
        pair = {name: self._pair(name, properties.get(name, True), path, depth) for name in (*must, *may)}
        return self._rules.add("object", self._braces([pair[name] for name in must], [pair[name] for name in may]))

    def _braces(self, must: list[str], may: list[str]) -> str:
        """All of `must`, then any of `may`, in order, with commas between."""
        comma = f'"," {SPACE}'
        rest = ""
        starts: list[str] = []
        for rule in reversed(may):
            starts.append(f"{rule} {rest}".strip())
            rest = self._rules.add("rest", f"({comma} {rule})? {rest}".strip())
        if must:
            return f'"{{" {f" {comma} ".join(must)} {rest} "}}"'.replace("  ", " ")
        inner = self._rules.add("first", choice(reversed(starts))) + "?" if starts else ""
        return f'"{{" {inner} "}}"'.replace("  ", " ")

    def _pair(self, name: str, schema: Any, path: _Path, depth: int) -> str:
        inner = (*path, "properties", name)
        value = self._value(schema, inner, depth + 1)
        return self._rules.add("pair", f'{self._json(name, inner, "properties")} ":" {SPACE} {value}')

    def _map(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        """An object of which only the values' schema is known."""
        values = schema.get("additionalProperties", True)
        if values is False:
            return self._rules.add("none", '"{}"')
        return map_of(self._rules, self._value(values, (*path, "additionalProperties"), depth + 1))

    def _array(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        least, most = self._count(schema, "minItems", path) or 0, self._count(schema, "maxItems", path)
        if most is not None and least > most:
            self._refuse(path, "minItems", "larger than maxItems")
        if least > MAX_ITEMS:
            self._refuse(path, "minItems", f"more than {MAX_ITEMS}")
        if "prefixItems" in schema:
            self._refuse(path, "prefixItems", "not supported: use an object, or items")
        item = self._value(schema.get("items", True), (*path, "items"), depth + 1)
        inner = repeated(item, least, most if most is not None and most <= MAX_ITEMS else None)
        counted = max(least, most or 0) if most is None or most <= MAX_ITEMS else least
        return self._counted("array", f'"[" {inner} "]"'.replace("  ", " "), counted, path, "maxItems")

    def _string(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        least, most = self._count(schema, "minLength", path) or 0, self._count(schema, "maxLength", path)
        if most is not None and least > most:
            self._refuse(path, "minLength", "larger than maxLength")
        if most is None or most > MAX_STRING:
            if least == 0 or least > MAX_STRING:
                return "string"
            return self._counted("text", rf'"\"" char{{{least},}} "\""', least, path, "minLength")
        return self._counted("text", rf'"\"" char{{{least},{most}}} "\""', most, path, "maxLength")

    def _counted(self, kind: str, body: str, repetitions: int, path: _Path, keyword: str) -> str:
        rule = self._rules.add(kind, body, repetitions)
        if self._rules.repetitions > MAX_REPETITIONS:
            self._refuse(path, keyword, f"bounds that differ count more than {MAX_REPETITIONS} in all")
        return rule

    def _integer(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        try:
            low, high = bounds_of(schema)
        except ValueError as exc:
            self._refuse(path, str(exc), "not a number")
        if low > high:
            self._refuse(path, "maximum", "no whole number is between the bounds")
        if high == LARGEST and low in (0, -LARGEST):
            return "integer" if low else "natural"
        return self._rules.add("range", between(low, high))

    def _number(self, schema: Mapping[str, Any], path: _Path, depth: int) -> str:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        is_positive = isinstance(least, int | float) and least >= 0
        return self._rules.add("positive", "natural fraction") if is_positive else "number"

    def _enum(self, values: Any, path: _Path) -> str:
        if not isinstance(values, list) or not values:
            self._refuse(path, "enum", "not a list with something in it")
        if len(values) > MAX_ENUM:
            self._refuse(path, "enum", f"more than {MAX_ENUM} values")
        self._count_alternatives(len(values), path, "enum")
        try:
            return self._rules.add("enum", one_of(values))
        except ValueError:  # UnicodeEncodeError is one
            self._refuse(path, "enum", "no text that can be written")

    def _resolved(self, schema: Any, path: _Path) -> tuple[Mapping[str, Any], _Path]:
        """The schema with its `$ref` followed, and the pointer on which it was; a circle of them ends at 8."""
        if not isinstance(schema, Mapping):
            self._refuse(path, "schema", "nothing is valid here" if schema is False else "not an object")
        self._hold(schema, path)
        while "$ref" in schema:
            if path.count("$ref") >= MAX_REFERENCES:
                self._refuse(path, "$ref", f"deeper than {MAX_REFERENCES}, or a circle")
            schema, path = self._followed(schema["$ref"], path), (*path, "$ref")
            self._hold(schema, path)
        return schema, path

    def _hold(self, schema: Mapping[str, Any], path: _Path) -> None:
        if self._is_exact:
            found = unheld(schema, is_root=not path, most_text=MAX_STRING, most_items=MAX_ITEMS)
            if found is not None:
                self._refuse(path, *found)

    def _followed(self, reference: Any, path: _Path) -> Mapping[str, Any]:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            self._refuse(path, "$ref", 'only references within the schema are followed: "#/…"')
        found: Any = self._schema
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, Mapping) and name in found:
                found = found[name]
            else:
                self._refuse(path, "$ref", "it points at nothing")
        if not isinstance(found, Mapping):
            self._refuse(path, "$ref", "it points at no schema")
        return found

    def _count(self, schema: Mapping[str, Any], keyword: str, path: _Path) -> int | None:
        value = schema.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
            self._refuse(path, keyword, "not a whole number from 0")
        return int(value)

    def _list(self, schema: Mapping[str, Any], keyword: str, path: _Path) -> list[Any]:
        value = schema.get(keyword, [])
        if not isinstance(value, list):
            self._refuse(path, keyword, "not a list")
        return value

    def _json(self, value: Any, path: _Path, keyword: str) -> str:
        try:
            return json_literal(value)
        except ValueError:  # UnicodeEncodeError is one
            self._refuse(path, keyword, "no text that can be written")

    def _refuse(self, path: _Path, keyword: str, problem: str) -> NoReturn:
        raise SchemaRefused(self._tool, "".join(map(escaped, path)), keyword, problem)


def _implied(schema: Mapping[str, Any]) -> str | None:
    """The type that a schema without one speaks of."""
    speaks = {
        "object": ("properties", "required", "additionalProperties"),
        "array": ("items", "prefixItems", "minItems", "maxItems"),
        "string": ("minLength", "maxLength", "pattern", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    return next((kind for kind, words in speaks.items() if any(word in schema for word in words)), None)


def _says_more(schema: Mapping[str, Any]) -> bool:
    """Whether a schema with anyOf or oneOf says something itself: then that is compiled, and the rest checked."""
    return _implied(schema) is not None or "type" in schema
