"""`chatbot-download`: arguments and environment in, exit status and termination message out."""

import argparse
import ipaddress
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from chatbot_operator.download import source
from chatbot_operator.download.faults import DownloadFault, Reason, Refused
from chatbot_operator.download.fetch import Transport
from chatbot_operator.download.guard import Reach
from chatbot_operator.download.kind import Kind
from chatbot_operator.download.progress import for_stream
from chatbot_operator.download.task import Download, Order, failure, summary
from chatbot_operator.download.volume import Volume

_TERMINATION_BYTES = 2048
_SHA256 = re.compile(r"[0-9a-f]{64}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Download one model; the exit status is documented in `chatbot_operator.download.faults`."""
    options = _parser().parse_args(arguments)
    try:
        record = _download(options).run()
    except DownloadFault as fault:
        _terminate(options.termination_log, failure(fault))
        print(f"{fault.reason}: {fault}", file=sys.stderr)  # noqa: T201 - this is the command's answer
        return fault.exit_status
    _terminate(options.termination_log, summary(record))
    print(json.dumps(summary(record)))  # noqa: T201 - this is the command's answer
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatbot-download",
        description="Bring one GGUF model onto a volume: resumed, verified, published all at once.",
        epilog="Environment: HF_ENDPOINT, HTTPS_PROXY, and HF_TOKEN or the file named by HF_TOKEN_FILE.",
    )
    parser.add_argument("url", help="hf://owner/repository/file.gguf[@revision], https://… or pvc://claim/file.gguf")
    parser.add_argument("--volume", type=Path, default=Path("/models"), help="where the claim is mounted")
    parser.add_argument("--sha256", default="", help="expected sum, 64 lower-case hex characters")
    parser.add_argument("--kind", choices=get_args(Kind), help="what the model is for; else it is not checked")
    parser.add_argument("--partial-key", default="by-hand", help="name of the folder for what has arrived")
    parser.add_argument("--delete-unused", action="store_true", help="delete what no --keep names, to make room")
    parser.add_argument("--keep", action="append", default=[], help="a revision that must stay; repeat it")
    parser.add_argument("--keep-partial", action="append", default=[], help="a partial that must stay; repeat it")
    parser.add_argument("--source-mount", type=Path, default=Path("/source"), help="where a pvc:// claim is mounted")
    parser.add_argument("--allow-network", action="append", default=[], type=ipaddress.ip_network, help="CIDR; repeat")
    parser.add_argument("--allow-host", action="append", default=[], help="only these hosts; .example.org: and below")
    parser.add_argument("--ca-bundle", type=Path, help="PEM file of certificate authorities")
    parser.add_argument("--termination-log", type=Path, help="file for the result, at most 2 KiB")
    return parser


def _download(options: argparse.Namespace) -> Download:
    if options.sha256 and not _SHA256.fullmatch(options.sha256):
        raise Refused(Reason.BAD_URL, "--sha256 must be 64 lower-case hex characters.")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,80}", options.partial_key):
        raise Refused(Reason.BAD_URL, "--partial-key may hold letters, digits and '-' only.")
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    order = Order(
        url=options.url,
        source=source.parse(options.url, hf_endpoint=endpoint),
        sha256=options.sha256,
        partial_key=options.partial_key,
        delete_unused=options.delete_unused,
        keep=tuple(options.keep),
        keep_partials=tuple(options.keep_partial),
        source_mount=options.source_mount,
        kind=options.kind,
    )
    reach = Reach(tuple(options.allow_network), tuple(options.allow_host))
    transport = Transport(reach, options.ca_bundle, os.environ.get("HTTPS_PROXY", ""), _token())
    return Download(order, Volume(options.volume), transport, for_stream(sys.stdout))


def _token() -> str:
    file = os.environ.get("HF_TOKEN_FILE")
    return (Path(file).read_text() if file else os.environ.get("HF_TOKEN", "")).strip()


def _terminate(log: Path | None, result: dict[str, object]) -> None:
    """Write the result where Kubernetes reads it; it cuts longer messages, which would not be JSON any more."""
    if log is None:
        return
    text = json.dumps(result)
    if len(text.encode()) > _TERMINATION_BYTES:
        text = json.dumps({**result, "message": str(result.get("message", ""))[:500]})
    log.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
