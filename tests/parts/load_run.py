"""Load tests as processes, the way a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 200.0


def load_run(folder: Path, url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A run to its end; its files lie in `folder`."""
    command = [sys.executable, "-m", "chatbot_loadtest", "run", url, "--out", str(folder), *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": str(ROOT / "loadtest"), **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
