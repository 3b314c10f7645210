"""GGUF models of random weights, made on the spot: only the size of the work is real, nothing is downloaded.

Two properties make work equal on every server, without asking any of them for it:

- Only tokens of exactly three digits are ever sampled, so no answer ends early, and any answer, sent back as text in
  the next turn, becomes the same tokens again (the pre-tokenizer of Llama 3 splits digits into groups of three).
- Prompts are written in the same groups, so the number of their tokens is known before they are sent.

How the others are kept from being sampled: dimension 0 of the residual stream is a constant that no layer changes, and
the output row of a token that must not come has a large negative weight there.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
from numpy.typing import NDArray

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_HEAD = 64
_CONSTANT = 4.0
_NEVER = -100.0
_N_BYTES = 256
_N_PAIRS = 100
_N_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model.

    Attributes:
        context: Longest request in the header, tokens.
        weights: Format of the matrices.
    """

    layers: int
    width: int
    vocabulary: int = 32_000
    context: int = 16_384
    weights: Literal["F16", "Q8_0"] = "F16"

    @property
    def parameters(self) -> int:
        """Weights, embedding and output included."""
        return 2 * self.vocabulary * self.width + self.layers * 9 * self.width**2

    @property
    def short(self) -> str:
        """Size and format."""
        return f"{self.parameters / 1e6:.0f}M {self.weights}"

    def __str__(self) -> str:
        size = f"{self.parameters / 1e6:.0f}M parameters, {self.weights}"
        return f"{size}, {self.layers} layers x {self.width}, vocabulary {self.vocabulary}"


SHAPES = {
    "tiny": Shape(layers=2, width=128, vocabulary=2048),
    "small": Shape(layers=8, width=512),
    "small-q8": Shape(layers=8, width=512, weights="Q8_0"),
    "medium": Shape(layers=12, width=768),
    "large": Shape(layers=14, width=1024),
}


def make_model(path: Path, shape: Shape, seed: int = 7) -> Path:
    """Write the file, unless it is there; the path is returned."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    writer = gguf.GGUFWriter(new, "llama")
    _write_header(writer, shape)
    _write_vocabulary(writer, shape.vocabulary)
    _write_weights(writer, shape, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    new.rename(path)
    return path


def _write_header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    heads = shape.width // _HEAD
    writer.add_name("engine-bench")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(2 * shape.width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(max(1, heads // 2))
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(_HEAD)
    writer.add_vocab_size(shape.vocabulary)


def _byte_characters() -> list[str]:
    """GPT-2's printable character of each byte (github.com/openai/gpt-2, src/encoder.py: bytes_to_unicode)."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def _merges() -> Iterator[str]:
    """Every pair of digits, and groups of three from either side: whichever pair comes first, one token is left."""
    digits = "0123456789"
    yield from (f"{a} {b}" for a, b in itertools.product(digits, digits))
    for a, b, c in itertools.product(digits, repeat=3):
        yield f"{a}{b} {c}"
        yield f"{a} {b}{c}"


def _write_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    tokens = _byte_characters()
    tokens += [f"{number:02d}" for number in range(_N_PAIRS)] + [f"{number:03d}" for number in range(_N_GROUPS)]
    tokens += [f"unused{number}" for number in range(size - len(tokens) - len(SPECIALS))] + list(SPECIALS)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.NORMAL] * (size - len(SPECIALS)) + [kinds.CONTROL] * len(SPECIALS))
    writer.add_token_merges(list(_merges()))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_eot_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _write_weights(writer: gguf.GGUFWriter, shape: Shape, rng: np.random.Generator) -> None:
    width, kv_width, hidden, std = shape.width, max(_HEAD, shape.width // 2), 2 * shape.width, shape.width**-0.5

    def matrix(rows: int, columns: int, scale: float) -> NDArray[np.float16]:
        return (rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale)).astype(np.float16)

    def into_stream(rows: int, columns: int, scale: float) -> NDArray[np.float16]:
        values = matrix(rows, columns, scale)
        values[0, :] = 0  # the constant stays
        return values

    put, ones = _matrices(writer, shape), np.ones(width, np.float32)
    embedding = matrix(shape.vocabulary, width, 1.0)
    embedding[:, 0] = _CONSTANT
    put("token_embd.weight", embedding)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", ones)
        writer.add_tensor(block + "ffn_norm.weight", ones)
        put(block + "attn_q.weight", matrix(width, width, 2 * std))
        put(block + "attn_k.weight", matrix(kv_width, width, 2 * std))
        put(block + "attn_v.weight", matrix(kv_width, width, std))
        put(block + "attn_output.weight", into_stream(width, width, std))
        put(block + "ffn_gate.weight", matrix(hidden, width, std))
        put(block + "ffn_up.weight", matrix(hidden, width, std))
        put(block + "ffn_down.weight", into_stream(width, hidden, hidden**-0.5))
    writer.add_tensor("output_norm.weight", ones)
    output = matrix(shape.vocabulary, width, 3 * std)
    output[:, 0] = _NEVER
    first = _N_BYTES + _N_PAIRS
    output[first : first + _N_GROUPS, 0] = 0
    put("output.weight", output)


def _matrices(writer: gguf.GGUFWriter, shape: Shape) -> Callable[[str, NDArray[np.float16]], None]:
    """How a matrix is written, in the shape's format."""

    def put(name: str, values: NDArray[np.float16]) -> None:
        if shape.weights == "F16":
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType[shape.weights]
            writer.add_tensor(name, gguf.quants.quantize(values.astype(np.float32), kind), raw_dtype=kind)

    return put
