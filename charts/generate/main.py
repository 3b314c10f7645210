"""Writes what is derived in charts/ and manifests/; `--check` compares instead. Part of `make generate`."""

import argparse
import sys
from pathlib import Path

from crd_characters import resource
from dashboards import files
from readme import connections_table, values_table
from schema import schema
from slo import rules
from values import read

ROOT = Path(__file__).parents[2]
CHARTS = {"chatbot": {"character": "office"}, "chatbot-operator": {}}
"""Charts, and the branches of their values that repeat another one."""


def between_marks(text: str, name: str, content: str) -> str:
    """Replace what stands between `<!-- name: begin -->` and `<!-- name: end -->`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    return f"{head}{begin}\n{content}{end}{tail}"


def chart_pages(name: str) -> dict[Path, str]:
    """Schema and README of one chart."""
    folder = ROOT / "charts" / name
    tree = read(folder / "values.yaml")
    readme = between_marks((folder / "README.md").read_text(), "values", values_table(tree, CHARTS[name]))
    readme = between_marks(readme, "connections", connections_table(folder / "files/connections.yaml"))
    return {
        folder / "values.schema.json": schema(tree, f"Values of the chart {name}"),
        folder / "README.md": readme,
    }


def pages() -> dict[Path, str]:
    """Every generated file with its content."""
    made = {path: text for name in CHARTS for path, text in chart_pages(name).items()}
    made[ROOT / "charts/chatbot/files/rules/objectives.yaml"] = rules()
    made[ROOT / "charts/chatbot-operator/files/characters.chatbot.ai.yaml"] = resource()
    made |= {ROOT / f"charts/chatbot/files/dashboards/{name}.json": text for name, text in files().items()}
    return made


def main() -> int:
    """Write the files; with `--check` only say which ones differ. 1 where one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    stale = [(path, text) for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        print(f"{path.relative_to(ROOT)}: {'differs from its source: make generate' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
