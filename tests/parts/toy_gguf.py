"""Tiny GGUF models with random weights, made on the spot: the real engine runs on them, nothing is downloaded.

`make_toy` writes one into a path and returns the path. F32 by default: greedy answers of F32 weights are equal
whatever the batch's shape, those of F16 and Q8_0 differ in the last bits. A byte-complete BPE vocabulary, many
tokens of which split a UTF-8 character, and the 256 control tokens of Llama 3.
"""

import itertools
import string
import struct
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize

_HANGUL_LEADS = range(0xEA, 0xEE)
LLAMA31_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    *(f"<|reserved_special_token_{i}|>" for i in range(3, 248)),
)
LLAMA3_SPECIALS = tuple(
    name if name != "<|python_tag|>" else "<|reserved_special_token_248|>" for name in LLAMA31_SPECIALS
)
"""Without the token of calls: such models are told of tools in plain text."""
CHATML_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN25_SPECIALS = (*CHATML_SPECIALS, "<tool_call>", "</tool_call>")
QWEN3_SPECIALS = (*QWEN25_SPECIALS, "<tool_response>", "</tool_response>", "<think>", "</think>")
_USER_DEFINED = frozenset(QWEN3_SPECIALS) - frozenset(CHATML_SPECIALS)
"""Specials that the files of their families mark so."""
GEMMA_SPECIALS = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
MISTRAL_SPECIALS = ("<s>", "</s>", "[INST]", "[/INST]")
MISTRAL3_SPECIALS = (
    *MISTRAL_SPECIALS,
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
)
MISTRAL7_SPECIALS = (*MISTRAL3_SPECIALS, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]")
_ENDS = {  # (begin or None, end, end of turn) of each set
    LLAMA31_SPECIALS: ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
    LLAMA3_SPECIALS: ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
    CHATML_SPECIALS: (None, "<|endoftext|>", "<|im_end|>"),
    QWEN25_SPECIALS: (None, "<|endoftext|>", "<|im_end|>"),
    QWEN3_SPECIALS: (None, "<|endoftext|>", "<|im_end|>"),
    GEMMA_SPECIALS: ("<bos>", "<eos>", "<end_of_turn>"),
    MISTRAL_SPECIALS: ("<s>", "</s>", "</s>"),
    MISTRAL3_SPECIALS: ("<s>", "</s>", "</s>"),
    MISTRAL7_SPECIALS: ("<s>", "</s>", "</s>"),
}
_TEMPLATE = "{{ raise_exception('a template inside a file is never rendered') }}"


def make_toy(  # noqa: PLR0913 - every size may be asked for by name
    path: Path,
    *,
    n_layers: int = 2,
    n_embd: int = 128,
    n_vocab: int = 2048,
    context: int = 2048,
    seed: int = 7,
    dtype: str = "F32",
    specials: tuple[str, ...] = LLAMA3_SPECIALS,
    specials_are_control: bool = True,
    is_sentencepiece: bool = False,
    nan: bool = False,
    mute: bool = False,
    endless: bool = False,
    eager: str = "",
    name: str = "toy",
    pooling: int | None = None,
) -> Path:
    """Write a llama-architecture model of random weights.

    Args:
        path: File to write.
        n_layers: Layers.
        n_embd: Width; a multiple of 128.
        n_vocab: Tokens, control tokens included; at least 1,024 with the specials of Llama 3.
        context: Training context in the header, tokens.
        seed: Of the weights; another seed is another model.
        dtype: F32, F16 or Q8_0.
        specials: Control tokens; the set decides which chat format is detected.
        specials_are_control: Else they are user-defined, as some converted files have them: matched inside any text.
        is_sentencepiece: Whether the tokenizer is SentencePiece's instead of byte-level BPE.
        nan: Whether the last norm is NaN, so that every logit is NaN.
        mute: Whether the last norm is zero, so that all logits are equal and every answer is of zero bytes.
        endless: Whether special tokens, the last of a BPE vocabulary, are never likely: an answer ends at its limit.
        eager: A special token that is by far the likeliest one of about every other row.
        name: `general.name`.
        pooling: `llama.pooling_type` of an embedding model: 1 mean, 2 first, 3 last; None: the file says nothing.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    _write_sizes(writer, n_layers, n_embd, n_vocab, context)
    if pooling is not None:
        writer.add_uint32("llama.pooling_type", pooling)
    if is_sentencepiece:
        _write_sentencepiece_vocabulary(writer, n_vocab, specials)
    else:
        _write_vocabulary(writer, n_vocab, specials, specials_are_control)
    weights = _Weights(writer, dtype, seed)
    first_special = 1 if is_sentencepiece else n_vocab - len(specials)
    eager_token = first_special + specials.index(eager) if eager else None
    _write_weights(weights, n_layers, n_embd, n_vocab, silent_tokens=len(specials) if endless else 0, eager=eager_token)
    weights.vector("output_norm.weight", n_embd, float("nan") if nan else float(not mute))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_sentencepiece_toy(path: Path) -> Path:
    """A toy with the other kind of tokenizer: scores instead of merges, byte tokens, a space of its own in front."""
    return make_toy(path, specials=MISTRAL_SPECIALS, is_sentencepiece=True)


def make_slow_toy(path: Path, *, context: int = 2048, seed: int = 7, endless: bool = False) -> Path:
    """A model of about 30 million parameters (some ms per token on a CPU): for tests that must catch a step running."""
    return make_toy(
        path, n_layers=8, n_embd=512, n_vocab=4096, context=context, dtype="F16", seed=seed, endless=endless
    )


def make_crashing_toy(path: Path, *, n_layers: int = 700) -> Path:
    """A model on which llama.cpp ends its process while it loads: more layers in the header than it has room for.

    Of very many layers the services say beforehand that their cells do not fit.

    Source: GGML_ASSERT(n_layer <= LLAMA_MAX_LAYERS), https://github.com/ggml-org/llama.cpp, src/llama-model.cpp.
    """
    whole = make_toy(path).read_bytes()
    key = b"llama.block_count"
    at = whole.index(key) + len(key) + struct.calcsize("<I")  # the value comes after its type
    path.write_bytes(whole[:at] + struct.pack("<I", n_layers) + whole[at + struct.calcsize("<I") :])
    return path


def make_nan_toy(path: Path) -> Path:
    """A model that loads and answers with NaN logits."""
    return make_toy(path, nan=True)


def make_truncated_toy(path: Path, *, keep: float = 0.6) -> Path:
    """A toy cut off after `keep` of its bytes, as an interrupted copy leaves it."""
    whole = make_toy(path).read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def make_wrong_magic_toy(path: Path) -> Path:
    """A toy whose first four bytes are not `GGUF`."""
    whole = make_toy(path).read_bytes()
    path.write_bytes(b"NOPE" + whole[4:])
    return path


def _byte_characters() -> list[str]:
    """GPT-2's printable character of each byte (github.com/openai/gpt-2, src/encoder.py: bytes_to_unicode)."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def _merges(characters: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs in order of rank: half Hangul syllables, letters after a space, two letters, three letters."""
    for lead, tail in itertools.product(_HANGUL_LEADS, range(0x80, 0xC0)):
        yield characters[lead], characters[tail]
    letters = string.ascii_lowercase
    for letter in letters:
        yield characters[0x20], letter
    pairs = ["".join(pair) for pair in itertools.product(letters, letters)]
    yield from ((pair[0], pair[1]) for pair in pairs)
    yield from itertools.product(pairs, letters)


def _write_sizes(writer: gguf.GGUFWriter, n_layers: int, n_embd: int, n_vocab: int, context: int) -> None:
    head_count = n_embd // 32
    writer.add_context_length(context)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(2 * n_embd)
    writer.add_head_count(head_count)
    writer.add_head_count_kv(head_count // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(32)
    writer.add_vocab_size(n_vocab)


def _write_vocabulary(writer: gguf.GGUFWriter, n_vocab: int, specials: tuple[str, ...], are_control: bool) -> None:
    characters = _byte_characters()
    merges = list(itertools.islice(_merges(characters), n_vocab - 256 - len(specials)))
    tokens = [*characters, *("".join(merge) for merge in merges), *specials]
    if len(tokens) != n_vocab or n_vocab < 256 + len(specials):
        raise ValueError(f"no vocabulary of {n_vocab} tokens")
    begin, end, turn = _ENDS[specials]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    kinds = gguf.TokenType
    marked = [kinds.CONTROL if are_control and each not in _USER_DEFINED else kinds.USER_DEFINED for each in specials]
    writer.add_token_types([kinds.NORMAL] * (n_vocab - len(specials)) + marked)
    writer.add_token_merges([" ".join(merge) for merge in merges])
    if begin:
        writer.add_bos_token_id(tokens.index(begin))
    writer.add_eos_token_id(tokens.index(end))
    writer.add_eot_token_id(tokens.index(turn))
    writer.add_add_bos_token(begin is not None)
    writer.add_chat_template(_TEMPLATE)


def _write_sentencepiece_vocabulary(writer: gguf.GGUFWriter, n_vocab: int, specials: tuple[str, ...]) -> None:
    kinds = gguf.TokenType
    letters = string.ascii_lowercase
    texts = ["\u2581", *letters, *("\u2581" + letter for letter in letters)]
    texts += ["".join(pair) for pair in itertools.product(letters, letters)]
    texts += ["".join(triple) for triple in itertools.product(letters, letters, letters)]
    tokens = ["<unk>", *specials, *(f"<0x{byte:02X}>" for byte in range(256)), *texts][:n_vocab]
    types = [kinds.UNKNOWN] + [kinds.CONTROL] * len(specials) + [kinds.BYTE] * 256
    begin, end, turn = _ENDS[specials]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-number / 1000 for number in range(n_vocab)])
    writer.add_token_types(types + [kinds.NORMAL] * (n_vocab - len(types)))
    writer.add_bos_token_id(tokens.index(begin or end))
    writer.add_eos_token_id(tokens.index(end))
    writer.add_eot_token_id(tokens.index(turn))
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(begin is not None)


class _Weights:
    """Random matrices of one file."""

    def __init__(self, writer: gguf.GGUFWriter, dtype: str, seed: int) -> None:
        self._writer = writer
        self._type = gguf.GGMLQuantizationType[dtype]
        self._rng = np.random.default_rng(seed)

    def matrix(
        self, name: str, rows: int, columns: int, std: float, zero_rows: int = 0, loud_row: int | None = None
    ) -> None:
        values = self._rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(std)
        if loud_row is not None:
            values[loud_row] *= 50
        values[rows - zero_rows :] = 0
        if self._type == gguf.GGMLQuantizationType.F32:
            self._writer.add_tensor(name, values)
        elif self._type == gguf.GGMLQuantizationType.F16:
            self._writer.add_tensor(name, values.astype(np.float16))
        else:
            self._writer.add_tensor(name, quantize(values, self._type), raw_dtype=self._type)

    def vector(self, name: str, size: int, value: float) -> None:
        self._writer.add_tensor(name, np.full(size, value, np.float32))


def _write_weights(
    weights: _Weights, n_layers: int, n_embd: int, n_vocab: int, silent_tokens: int, eager: int | None
) -> None:
    n_kv, n_ff, std = n_embd // 2, 2 * n_embd, n_embd**-0.5
    weights.matrix("token_embd.weight", n_vocab, n_embd, 1.0)
    for layer in range(n_layers):
        block = f"blk.{layer}."
        weights.vector(block + "attn_norm.weight", n_embd, 1.0)
        weights.vector(block + "ffn_norm.weight", n_embd, 1.0)
        weights.matrix(block + "attn_q.weight", n_embd, n_embd, 2 * std)
        weights.matrix(block + "attn_k.weight", n_kv, n_embd, 2 * std)
        weights.matrix(block + "attn_v.weight", n_kv, n_embd, std)
        weights.matrix(block + "attn_output.weight", n_embd, n_embd, std)
        weights.matrix(block + "ffn_gate.weight", n_ff, n_embd, std)
        weights.matrix(block + "ffn_up.weight", n_ff, n_embd, std)
        weights.matrix(block + "ffn_down.weight", n_embd, n_ff, n_ff**-0.5)
    weights.matrix("output.weight", n_vocab, n_embd, 3 * std, zero_rows=silent_tokens, loud_row=eager)
