"""A small file system of its own that fills up, told in the kubelet's words: `python nearly_full.py PORT`.

Run it with `unshare --map-root-user --mount`, so that the file system is nobody else's and goes with the process. The
kubelet's metrics: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

import os
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

SIZE_BYTES = 4 * 2**20
CLAIM = "model-office"


def main(port: int) -> None:
    """Serve `/metrics`, and fill the file system when `/fill` is asked for."""
    folder = Path(tempfile.mkdtemp())
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "none", folder], check=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/fill":
                (folder / "model.gguf").write_bytes(bytes(SIZE_BYTES * 97 // 100))
            told = os.statvfs(folder)
            label = f'{{namespace="volume",persistentvolumeclaim="{CLAIM}"}}'
            text = (
                f"kubelet_volume_stats_capacity_bytes{label} {told.f_blocks * told.f_frsize}\n"
                f"kubelet_volume_stats_available_bytes{label} {told.f_bavail * told.f_frsize}\n"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            return

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
