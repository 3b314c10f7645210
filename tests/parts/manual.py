"""The commands of docs/operations.md, to be run as they stand there."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

MANUAL = Path(__file__).parents[2] / "docs/operations.md"


def commands(name: str) -> str:
    """What stands between the marks `<!-- name: begin -->` and `<!-- name: end -->`."""
    text = MANUAL.read_text()
    marked = text.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]
    block = re.search(r"```bash\n(.*?)```", textwrap.dedent(marked), re.DOTALL)
    assert block, name
    return block[1]


def names() -> set[str]:
    """All marked blocks."""
    return set(re.findall(r"<!-- ([\w-]+): begin -->", MANUAL.read_text()))


def follow(name: str, folder: Path, **variables: str) -> str:
    """Run a block in a folder; what it said."""
    told = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", commands(name)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "no_proxy": "*", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, f"{name}: {told.stderr or told.stdout}"
    return told.stdout
