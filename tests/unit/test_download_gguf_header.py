"""Malformed GGUF files never pass; the check is bounded whatever the bytes are."""

import random
import struct
from pathlib import Path

import pytest
from chatbot_operator.download.faults import Corrupt
from chatbot_operator.download.gguf_header import check
from parts.toy_gguf import make_toy


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf(
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    entries: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    counts: tuple[int, int] | None = None,
    data: bytes = b"\0" * 64,
) -> bytes:
    n_tensors, n_entries = counts or (len(tensors), len(entries))
    head = magic + struct.pack("<IQQ", version, n_tensors, n_entries) + b"".join(entries) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


def tensor(name: bytes = b"t", dims: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return _text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


GOOD = gguf(tensors=(tensor(),))
MALFORMED = {
    "empty": b"",
    "magic": gguf(magic=b"GGML", tensors=(tensor(),)),
    "version 0": gguf(version=0, tensors=(tensor(),)),
    "version 1": gguf(version=1, tensors=(tensor(),)),
    "big-endian version": gguf(version=3 << 24, tensors=(tensor(),)),
    "no tensors": gguf(),
    "tensor count": gguf(counts=(1 << 62, 0)),
    "entry count": gguf(counts=(0, 1 << 62)),
    "cut in the header": GOOD[:20],
    "cut in the data": gguf(tensors=(tensor(dims=(64,)),), data=b"\0" * 100),
    "offset beyond the end": gguf(tensors=(tensor(offset=1 << 40),)),
    "huge dimension": gguf(tensors=(tensor(dims=(1 << 62, 1 << 62)),)),
    "rank": gguf(tensors=(_text(b"t") + struct.pack("<I", 1 << 30),)),
    "name length": gguf(tensors=(struct.pack("<Q", 1 << 60),)),
    "key length": gguf(entries=(struct.pack("<Q", 1 << 60),), tensors=(tensor(),)),
    "string length": gguf(entries=(entry(b"k", 8, struct.pack("<Q", 1 << 60)),), tensors=(tensor(),)),
    "value type": gguf(entries=(entry(b"k", 99, b""),), tensors=(tensor(),)),
    "array type": gguf(entries=(entry(b"k", 9, struct.pack("<IQ", 99, 1)),), tensors=(tensor(),)),
    "array length": gguf(entries=(entry(b"k", 9, struct.pack("<IQ", 4, 1 << 60)),), tensors=(tensor(),)),
    "nested arrays": gguf(
        entries=(entry(b"k", 9, struct.pack("<IQ", 9, 1) * 50),),
        tensors=(tensor(),),
    ),
    "key twice": gguf(entries=(entry(b"k", 4, b"\0" * 4),) * 2, tensors=(tensor(),)),
    "alignment 0": gguf(entries=(entry(b"general.alignment", 4, struct.pack("<I", 0)),), tensors=(tensor(),)),
    "alignment 3": gguf(entries=(entry(b"general.alignment", 4, struct.pack("<I", 3)),), tensors=(tensor(),)),
    "alignment is text": gguf(entries=(entry(b"general.alignment", 8, _text(b"32")),), tensors=(tensor(),)),
}


def test_a_model_passes_and_names_its_architecture(tmp_path: Path) -> None:
    file = make_toy(tmp_path / "toy.gguf")

    assert check(file).architecture == "llama"


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(MALFORMED[name])

    with pytest.raises(Corrupt) as refusal:
        check(file)

    assert refusal.value.exit_status == 65


def test_any_cut_is_refused(tmp_path: Path) -> None:
    whole = make_toy(tmp_path / "toy.gguf").read_bytes()
    file = tmp_path / "cut.gguf"

    for keep in (4, 24, 1000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:keep])
        with pytest.raises(Corrupt):
            check(file)


def test_random_changes_never_do_anything_but_pass_or_refuse(tmp_path: Path) -> None:
    whole = bytearray(make_toy(tmp_path / "toy.gguf").read_bytes()[:60_000])
    rng, file = random.Random(5), tmp_path / "mutated.gguf"

    for _ in range(300):
        mutated = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            mutated[rng.randrange(4000)] = rng.randrange(256)
        file.write_bytes(mutated)
        with pytest.raises(Corrupt):
            check(file)  # it was cut, so it never passes
