"""Weights and tokenizer as a GGUF file, which is also what training goes on from.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import json
from pathlib import Path

import gguf
import numpy as np
import tokenizer as text_tokenizer
from corpus.chat_form import SPECIALS
from network import Config, Params
from tokenizer import special_ids
from tokenizers import Tokenizer

_TEMPLATE = (
    "{{ '<|begin_of_text|>' }}{% for m in messages %}{% set role = 'ipython' if m['role'] == 'tool' else m['role'] %}"
    "{{ '<|start_header_id|>' + role + '<|end_header_id|>\n\n' + m['content'] + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_MATRICES = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
_NORMS = {"attn_norm": "attn_norm", "ffn_norm": "ffn_norm"}


def read(path: Path) -> tuple[Config, Tokenizer, Params]:
    """Sizes, tokenizer and float32 weights of a file that `write` made."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {tensor.name: np.asarray(tensor.data, np.float32) for tensor in reader.tensors}
    config = Config(
        vocabulary=fields["llama.vocab_size"],
        width=fields["llama.embedding_length"],
        layers=fields["llama.block_count"],
        heads=fields["llama.attention.head_count"],
        kv_heads=fields["llama.attention.head_count_kv"],
        feed_forward=fields["llama.feed_forward_length"],
    )
    tokens = fields["tokenizer.ggml.tokens"][: -len(SPECIALS)]
    blocks = [
        {key: tensors[f"blk.{number}.{name}.weight"] for key, name in (_MATRICES | _NORMS).items()}
        for number in range(config.layers)
    ]
    params = {
        "embed": tensors["token_embd.weight"],
        "head": tensors["output.weight"],
        "norm": tensors["output_norm.weight"],
        "blocks": blocks,
    }
    return config, text_tokenizer.restore(tokens, fields["tokenizer.ggml.merges"]), params


def write(path: Path, config: Config, tokenizer: Tokenizer, params: Params) -> None:
    """Write an F16 file. A file of that name is replaced only once the new one is whole."""
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(partial), "llama")
    _write_header(writer, config)
    _write_tokenizer(writer, tokenizer)
    _write_tensors(writer, params)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def _write_header(writer: gguf.GGUFWriter, config: Config) -> None:
    writer.add_name("chatbot-demo")
    writer.add_description("A tiny chat model for demonstrations and tests, trained on synthetic dialogues only.")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.epsilon)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_vocab_size(config.vocabulary)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model, special = json.loads(tokenizer.to_str())["model"], special_ids(tokenizer)
    texts = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([*texts, *SPECIALS])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(texts) + [gguf.TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(special["<|begin_of_text|>"])
    writer.add_eos_token_id(special["<|eot_id|>"])
    writer.add_eot_token_id(special["<|eot_id|>"])
    writer.add_pad_token_id(special["<|pad|>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(_TEMPLATE)


def _write_tensors(writer: gguf.GGUFWriter, params: Params) -> None:
    writer.add_tensor("token_embd.weight", np.asarray(params["embed"], np.float16))
    writer.add_tensor("output.weight", np.asarray(params["head"], np.float16))
    writer.add_tensor("output_norm.weight", np.asarray(params["norm"], np.float32))
    for number, block in enumerate(params["blocks"]):
        for key, name in _MATRICES.items():
            writer.add_tensor(f"blk.{number}.{name}.weight", np.asarray(block[key], np.float16))
        for key, name in _NORMS.items():
            writer.add_tensor(f"blk.{number}.{name}.weight", np.asarray(block[key], np.float32))
