"""Addresses of models: what is read, what is refused before anything is asked."""

from pathlib import Path

import pytest
from chatbot_operator.download.faults import Reason, Refused
from chatbot_operator.download.source import MountedSource, RemoteSource, parse


def test_hf_address_names_the_file_at_its_revision() -> None:
    source = parse("hf://QuantFactory/Some-GGUF/Some.Q4_0.gguf@main")

    assert source == RemoteSource(
        "https://huggingface.co/QuantFactory/Some-GGUF/resolve/main/Some.Q4_0.gguf", "huggingface.co"
    )


def test_hf_address_follows_a_mirror() -> None:
    source = parse("hf://o/r/a/b.gguf@refs/pr/1", hf_endpoint="http://mirror.example/")

    assert source == RemoteSource("http://mirror.example/o/r/resolve/refs%2Fpr%2F1/a/b.gguf", "mirror.example")


def test_pvc_address_names_claim_and_path() -> None:
    source = parse("pvc://models/team/a.gguf")

    assert isinstance(source, MountedSource)
    assert (source.claim, str(source.path)) == ("models", "team/a.gguf")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.gguf",
        "http://example.org/a.gguf",
        "ftp://example.org/a.gguf",
        "file:///etc/passwd",
        "https://user:hunter2@example.org/a.gguf",
        "https:///a.gguf",
        "hf://owner/a.gguf",
        "hf://owner/repo/../../x.gguf",
        "hf://owner/repo/%2e%2e/x.gguf",
        "hf://owner/repo/a.safetensors",
        "hf://owner/repo/$(id).gguf@ main",
        "hf://owner/repo/big-00001-of-00004.gguf",
        "https://example.org/big-00001-of-00004.gguf?x=1",
        "pvc://Claim/a.gguf",
        "pvc://claim/../a.gguf",
        "pvc://claim//a.gguf",
        "pvc://claim/a.bin",
    ],
)
def test_refuses_other_addresses(url: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(url)

    assert refusal.value.reason == Reason.BAD_URL
    assert refusal.value.exit_status == 64
    assert "hunter2" not in str(refusal.value)


def test_link_out_of_the_claim_is_refused(tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    claim.mkdir()
    (tmp_path / "other.gguf").write_bytes(b"x")
    (claim / "a.gguf").symlink_to(tmp_path / "other.gguf")

    source = parse("pvc://claim/a.gguf")

    assert isinstance(source, MountedSource)
    with pytest.raises(Refused):
        source.file(claim)
