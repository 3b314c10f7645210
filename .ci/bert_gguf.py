"""A BERT as sentence-transformers keeps it -> GGUF, F32, with the keys and names of tensors that llama.cpp reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_PAD, _UNKNOWN, _BEGIN, _END, _MASK = _CONTROLS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write(source: Path, path: Path, name: str) -> None:
    """Write the file of the model in a folder that pools by the mean of its tokens."""
    said = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_context_length(said["max_position_embeddings"])
    writer.add_embedding_length(said["hidden_size"])
    writer.add_feed_forward_length(said["intermediate_size"])
    writer.add_block_count(said["num_hidden_layers"])
    writer.add_head_count(said["num_attention_heads"])
    writer.add_layer_norm_eps(said["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_token_type_count(said["type_vocab_size"])
    _add_words(writer, (source / "vocab.txt").read_text("utf-8").splitlines())
    for tensor, values in _tensors(source / "model.safetensors", said["num_hidden_layers"]):
        writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_words(writer: gguf.GGUFWriter, words: list[str]) -> None:
    writer.add_tokenizer_model("bert")
    writer.add_token_list([word if word in _CONTROLS else _marked(word) for word in words])
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if word in _CONTROLS else kinds.NORMAL for word in words])
    writer.add_bos_token_id(words.index(_BEGIN))
    writer.add_sep_token_id(words.index(_END))
    writer.add_unk_token_id(words.index(_UNKNOWN))
    writer.add_pad_token_id(words.index(_PAD))
    writer.add_mask_token_id(words.index(_MASK))


def _marked(word: str) -> str:
    """A word as llama.cpp keeps it: a mark stands before what begins one, not before what goes on with it."""
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def _tensors(weights: Path, layers: int) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Those that are computed with, by their names in GGUF (https://github.com/huggingface/safetensors#format)."""
    data = weights.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, told in json.loads(data[8:begin]).items():
        ours = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if ours is not None and told["dtype"] == "F32":  # not the pooler's, nor the positions' numbers
            start, end = (begin + offset for offset in told["data_offsets"])
            yield ours, np.frombuffer(data[start:end], "<f4").reshape(told["shape"])
