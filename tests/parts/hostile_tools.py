"""Parameters of tools that are refused, each with the place and the keyword that the refusal names."""

from typing import Any


def prop(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return prop(schema)


REFUSED_TOOLS: dict[str, tuple[dict[str, Any], str, str]] = {
    "arguments are no object": ({"type": "string"}, "", "type"),
    "unknown type": (prop({"type": "date"}), "/properties/x", "type"),
    "type is a number": (prop({"type": 5}), "/properties/x", "type"),
    "type is a list in a list": (prop({"type": [["string"]]}), "/properties/x", "type"),
    "no type at all": (prop({"type": []}), "/properties/x", "type"),
    "remote reference": (prop({"$ref": "https://evil.test/s.json"}), "/properties/x", "$ref"),
    "reference to a file": (prop({"$ref": "file:///etc/passwd"}), "/properties/x", "$ref"),
    "reference to nothing": (prop({"$ref": "#/$defs/y"}), "/properties/x", "$ref"),
    "reference is no text": (prop({"$ref": 5}), "/properties/x", "$ref"),
    "reference to a text": ({**prop({"$ref": "#/type"})}, "/properties/x", "$ref"),
    "circle": (prop({"$ref": "#/properties/x"}), "/properties/x" + "/$ref" * 8, "$ref"),
    "too deep": (nested(13), "/properties/x" + "/items" * 12, "schema"),
    "false": (prop({"type": "array", "items": False}), "/properties/x/items", "schema"),
    "schema is a list": (prop([]), "/properties/x", "schema"),
    "properties is a list": ({"properties": []}, "", "properties"),
    "too many properties": ({"properties": {f"p{n}": {} for n in range(129)}}, "", "properties"),
    "required is a text": ({"properties": {"a": {}}, "required": "a"}, "", "required"),
    "required has a number": ({"required": [1]}, "", "required"),
    "empty enum": (prop({"enum": []}), "/properties/x", "enum"),
    "long enum": (prop({"enum": list(range(257))}), "/properties/x", "enum"),
    "empty choice": (prop({"anyOf": []}), "/properties/x", "anyOf"),
    "choice is an object": (prop({"oneOf": {}}), "/properties/x", "oneOf"),
    "bad option": (prop({"anyOf": [{"type": "null"}, 5]}), "/properties/x/anyOf/1", "schema"),
    "length is a text": (prop({"type": "string", "maxLength": "5"}), "/properties/x", "maxLength"),
    "negative length": (prop({"type": "string", "minLength": -1}), "/properties/x", "minLength"),
    "half a length": (prop({"type": "string", "minLength": 0.5}), "/properties/x", "minLength"),
    "lengths the wrong way": (prop({"type": "string", "minLength": 3, "maxLength": 2}), "/properties/x", "minLength"),
    "items the wrong way": (prop({"type": "array", "minItems": 3, "maxItems": 2}), "/properties/x", "minItems"),
    "too many items": (prop({"type": "array", "minItems": 65}), "/properties/x", "minItems"),
    "tuple": (prop({"type": "array", "prefixItems": [{}]}), "/properties/x", "prefixItems"),
    "name needs escaping": ({"properties": {"a/b~c": {"type": "x"}}}, "/properties/a~1b~0c", "type"),
}  # fmt: skip
