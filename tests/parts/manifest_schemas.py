"""JSON schemas of one Kubernetes version and of custom resources, in the form that kubeconform reads offline.

The names are kubeconform's: `{{ .ResourceKind }}{{ .KindSuffix }}.json`, https://github.com/yannh/kubeconform.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

PATTERN = "{{.ResourceKind}}{{.KindSuffix}}.json"


def write_schemas(package: Path, version: str, kinds: Iterable[Path], folder: Path) -> str:
    """Write them into the folder.

    Args:
        package: Folder of the installed package `kubernetes_validate`, whose references kubeconform cannot follow.
        version: Of Kubernetes, `1.30.0`.
        kinds: Files with CustomResourceDefinitions.

    Returns:
        What kubeconform wants as `-schema-location`.
    """
    for file in (package / f"kubernetes-json-schema/v{version}-local-strict").glob("*.json"):
        (folder / file.name).write_text(json.dumps(_with_near_references(json.loads(file.read_text()))))
    for file in kinds:
        for definition in yaml.safe_load_all(file.read_text()):
            for name, schema in _of_custom_resource(definition):
                (folder / name).write_text(json.dumps(schema))
    return str(folder / PATTERN)


def _with_near_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_near_references(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: _with_near_references(entry) for key, entry in node.items() if key != "$id"}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = found["$ref"].replace("/api/_definitions.json", "_definitions.json")
    return found


def _of_custom_resource(definition: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        group = spec["group"].split(".")[0]
        yield f"{spec['names']['kind'].lower()}-{group}-{version['name']}.json", schema


def _strict(node: Any) -> Any:
    """As the API server with `--validate=strict`: a field that nobody knows is an error."""
    if isinstance(node, list):
        return [_strict(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: _strict(entry) for key, entry in node.items()}
    is_open = found.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in found
    if isinstance(found.get("properties"), dict) and found.get("type") == "object" and not is_open:
        found["additionalProperties"] = False
    if found.pop("x-kubernetes-int-or-string", False):
        found.pop("type", None)
    return found
