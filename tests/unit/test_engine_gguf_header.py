"""The header check: every way of being broken is a message, never a crash and never a hang."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot.llm.engine.native.gguf_header import InvalidGguf, read_gguf_header
from parts.toy_gguf import make_toy, make_truncated_toy, make_wrong_magic_toy

MAGIC = b"GGUF"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf")


def header(version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return MAGIC + struct.pack("<IQQ", version, tensors, keys)


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


ARCHITECTURE = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")


def tensor(name: bytes = b"t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def alignment(value: int) -> bytes:
    return text(b"general.alignment") + struct.pack("<II", 4, value)


BROKEN = {
    "empty": b"",
    "three bytes": b"GGU",
    "magic alone": MAGIC,
    "version 0": header(0),
    "version 1": header(1),
    "version of the future": header(4),
    "big endian": MAGIC + struct.pack(">IQQ", 3, 0, 0),
    "too many tensors": header(tensors=1 << 40),
    "too many keys": header(keys=1 << 63),
    "no architecture": header(),
    "key longer than the file": header(keys=1) + text(b"k", 1 << 62),
    "value of an unknown type": header(keys=1) + text(b"k") + struct.pack("<I", 99),
    "nested array": header(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 9, 1),
    "array longer than the file": header(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 20),
    "endless array": header(keys=1) + text(b"k") + struct.pack("<IIQ", 9, 8, 1 << 60),
    "key twice": header(keys=2) + ARCHITECTURE * 2,
    "alignment 0": header(keys=2) + ARCHITECTURE + alignment(0),
    "alignment 13": header(keys=2) + ARCHITECTURE + alignment(13),
    "no tensors": header(keys=1) + ARCHITECTURE,
    "name too long": header(tensors=1, keys=1) + ARCHITECTURE + tensor(b"n" * 64) + bytes(4096),
    "name twice": header(tensors=2, keys=1) + ARCHITECTURE + tensor() + tensor(offset=128) + bytes(4096),
    "no dimensions": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=()) + bytes(4096),
    "five dimensions": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=(1,) * 5) + bytes(4096),
    "dimension 0": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=(0,)) + bytes(4096),
    "product overflows": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=(1 << 33, 1 << 33)) + bytes(4096),
    "unknown tensor type": header(tensors=1, keys=1) + ARCHITECTURE + tensor(kind=4) + bytes(4096),
    "type of the future": header(tensors=1, keys=1) + ARCHITECTURE + tensor(kind=4_000_000_000) + bytes(4096),
    "half a block": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=(31,), kind=8) + bytes(4096),
    "offset beyond the file": header(tensors=1, keys=1) + ARCHITECTURE + tensor(offset=1 << 62) + bytes(4096),
    "tensors overlap": header(tensors=2, keys=1) + ARCHITECTURE + tensor(b"a") + tensor(b"b", offset=64) + bytes(4096),
    "data missing": header(tensors=1, keys=1) + ARCHITECTURE + tensor(shape=(4096,)) + bytes(100),
}


def test_reads_what_the_sizes_need(toy: Path) -> None:
    read = read_gguf_header(toy)

    assert (read.architecture, read.vocabulary_size) == ("llama", 2048)
    assert (read.size("block_count", 0), read.size("context_length", 0), read.size("absent", 7)) == (2, 2048, 7)
    assert 3_000_000 < read.weight_bytes < toy.stat().st_size


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)

    with pytest.raises(InvalidGguf):
        read_gguf_header(path)


def test_a_whole_small_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    path.write_bytes(header(tensors=1, keys=1) + ARCHITECTURE + tensor() + bytes(4096))

    assert read_gguf_header(path).weight_bytes == 128


def test_a_copy_that_was_cut_off_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidGguf, match="cut off"):
        read_gguf_header(make_truncated_toy(tmp_path / "cut.gguf"))


def test_another_kind_of_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidGguf, match="four bytes GGUF"):
        read_gguf_header(make_wrong_magic_toy(tmp_path / "page.html"))


def test_random_damage_never_escapes(toy: Path, tmp_path: Path, scale: Callable[[int, int], int]) -> None:
    rng = random.Random(9)
    whole = toy.read_bytes()
    path = tmp_path / "damaged.gguf"
    refused = 0
    for _ in range(scale(60, 2000)):
        damaged = bytearray(whole[: rng.choice((200, 3000, 60_000, len(whole)))])
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(min(len(damaged), rng.choice((64, 2000, 60_000))))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_gguf_header(path)
        except InvalidGguf:
            refused += 1

    assert refused > 0
