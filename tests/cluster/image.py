"""Pack files as a container image archive that `ctr images import` reads, with the standard library alone.

    image.py OUT.tar NAME:TAG ENTRYPOINT SOURCE=TARGET…

Format: docker-archive, https://github.com/moby/docker-image-spec
"""

import hashlib
import io
import json
import sys
import tarfile


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file into an archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    archive.addfile(entry, io.BytesIO(content))


def without_origin(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same files give the same image, whoever packs them."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def main(out: str, name: str, entrypoint: str, *pairs: str) -> None:
    """Write the archive."""
    layer_file = io.BytesIO()
    with tarfile.open(fileobj=layer_file, mode="w") as layer:
        for source, target in (pair.split("=", 1) for pair in pairs):
            layer.add(source, target.lstrip("/"), filter=without_origin)
    content = layer_file.getvalue()
    process = {"Entrypoint": [entrypoint], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"}
    diff_id = f"sha256:{hashlib.sha256(content).hexdigest()}"
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        add(archive, config_name, config)
        add(archive, "layer.tar", content)
        add(archive, "manifest.json", manifest)


if __name__ == "__main__":
    main(*sys.argv[1:])
