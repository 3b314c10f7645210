"""The Character resource, made from the fields that the API takes: what can be applied is what can be played.

The API server wants a structural schema, in which every field has one type:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

import re
from typing import Any, Final

import yaml
from chatbot.api.characters.objects import object_name
from chatbot.api.characters.schemas import CharacterFields

Schema = dict[str, Any]
_HEAD: Final = "# Made by `make generate` from services/chatbot/api/characters and charts/generate/crd_characters.py.\n"
_KEPT: Final = (
    "type", "description", "enum", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "pattern",
)  # fmt: skip
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_MOST_TENANTS: Final = 100
_CARD: Final = (
    "A card, version 1 to 3, as JSON in a ConfigMap of the namespace: then nothing but tenants stands beside it."
)


def resource() -> str:
    """The text of charts/chatbot-operator/files/characters.chatbot.ai.yaml."""
    made = CharacterFields.model_json_schema()
    fields = structural(made, made.get("$defs", {}))["properties"]
    document = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "characters.chatbot.ai"},
        "spec": {
            "group": "chatbot.ai",
            "scope": "Namespaced",
            "names": {
                "kind": "Character",
                "listKind": "CharacterList",
                "plural": "characters",
                "singular": "character",
                "shortNames": ["chr"],
                "categories": ["chatbot"],
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _object(fields)},
                }
            ],
        },
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def structural(schema: Schema, shared: dict[str, Schema]) -> Schema:
    """A JSON Schema of pydantic's as the API server takes it. No defaults: what is left out is left to the services."""
    described = {"description": schema["description"]} if "description" in schema else {}
    if "$ref" in schema:
        return structural(shared[schema["$ref"].rpartition("/")[2]], shared) | described
    if "anyOf" in schema:  # a value or null: what is not said is left out
        (one,) = (each for each in schema["anyOf"] if each.get("type") != "null")
        return structural(one, shared) | described
    made = _plain(schema)
    if "items" in schema:
        made["items"] = structural(schema["items"], shared)
    if "properties" in schema:
        if required := schema.get("required"):
            made["required"] = [object_name(name) for name in required]
        made["properties"] = {
            object_name(name): structural(field, shared) for name, field in schema["properties"].items()
        }
    return made


def _plain(schema: Schema) -> Schema:
    """What the schema says of the value itself."""
    made = {name: schema[name] for name in _KEPT if name in schema}
    if "description" in made:
        made["description"] = _with_object_names(made["description"])
    if made["type"] == "integer":
        made["format"] = "int64"
    if "exclusiveMinimum" in schema:
        made |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    return made


def _with_object_names(text: str) -> str:
    return re.sub(r"`([a-z]+(?:_[a-z]+)+)`", lambda found: f"`{object_name(found[1])}`", text)


def _object(fields: dict[str, Schema]) -> Schema:
    others = " || ".join(f"has(self.{name})" for name in fields)
    spec = {
        "description": "Who it is: fields of its own, or a card. Texts may hold macros such as {{char}} and {{user}}.",
        "type": "object",
        "x-kubernetes-validations": [
            {
                "rule": "has(self.cardFrom) != has(self.displayName)",
                "message": "displayName: say it, or name a card in cardFrom; one of them, not both",
            },
            {
                "rule": f"!has(self.cardFrom) || !({others})",
                "message": "cardFrom: the card says who it is; leave everything but tenants out beside it",
            },
        ],
        "properties": {"tenants": _tenants(), "cardFrom": _card_from(), **fields},
    }
    return {
        "description": "Somebody to talk to: character/<name> for any OpenAI client, character_name of the service.",
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [
            {"rule": "size(self.metadata.name) <= 63", "message": "name: at most 63 characters"}
        ],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _status(),
        },
    }


def _tenants() -> Schema:
    return {
        "description": "Tenants of API keys that may talk to it. Left out, everybody.",
        "type": "array",
        "minItems": 1,
        "maxItems": _MOST_TENANTS,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 64},
    }


def _card_from() -> Schema:
    key = {"type": "string", "minLength": 1, "maxLength": 253}
    return {
        "description": _CARD,
        "type": "object",
        "required": ["configMapKeyRef"],
        "properties": {
            "configMapKeyRef": {
                "type": "object",
                "required": ["name", "key"],
                "properties": {"name": key, "key": dict(key)},
            }
        },
    }


def _columns() -> list[Schema]:
    return [
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": f"{_READY}.status",
            "description": "Whether every ready pod that mounts the characters plays this one",
        },
        {"name": "Language", "type": "string", "jsonPath": ".status.language"},
        {
            "name": "Tokens",
            "type": "integer",
            "jsonPath": ".status.tokens",
            "description": "About how many it takes in every prompt",
        },
        {"name": "Revision", "type": "string", "jsonPath": ".status.revision", "description": "Of its content"},
        {"name": "Reason", "type": "string", "jsonPath": f"{_READY}.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {
            "name": "Message",
            "type": "string",
            "priority": 1,
            "jsonPath": f"{_READY}.message",
            "description": "What happened and what to do",
        },
    ]


def _status() -> Schema:
    whole = {"type": "integer", "format": "int64", "minimum": 0}
    return {
        "description": "What is known. Written by the operator alone.",
        "type": "object",
        "properties": {
            "observedGeneration": {"description": "Generation of the spec that the rest speaks of.", **whole},
            "revision": {"description": "Digest of its content, as services play it.", "type": "string"},
            "language": {"description": "That its texts are written in.", "type": "string"},
            "tokens": {"description": "About how many it takes in every prompt.", **whole},
            "consumers": {
                "description": "Deployments whose ready pods mount the characters, and the oldest generation there.",
                "type": "array",
                "maxItems": 64,
                "items": {
                    "type": "object",
                    "required": ["kind", "name"],
                    "properties": {"kind": {"type": "string"}, "name": {"type": "string"}, "generation": dict(whole)},
                },
            },
            "conditions": {
                "type": "array",
                "maxItems": 8,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": _condition(),
            },
        },
    }


def _condition() -> Schema:
    return {
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {"type": "string", "enum": ["Ready", "Complete"]},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "reason": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {
                "description": "What happened and what to do about it.",
                "type": "string",
                "maxLength": 32768,
            },
        },
    }
