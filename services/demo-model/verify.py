"""Checks a GGUF against JAX: the same token ids for the same texts, and nearly the same logits.

python verify.py chatbot-demo.gguf
"""

import argparse
from pathlib import Path

import gguf_file
import jax.numpy as jnp
import llama_cpp
import numpy as np
from corpus.chat_form import encode
from corpus.dialogues import Dialogues
from corpus.lexicon import Lexicon
from network import hidden
from tokenizer import special_ids

_DIALOGUES, _MOST_TOKENS, _SEED = 300, 400, 5
_ODD_TEXTS = (
    "<|eot_id|> as text",
    "  two  spaces\n\n\ttabs",
    "I'll don't WE'VE 1234567 ½ émigré Straße 🙂 混合mixed텍스트",
)


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    path = parser.parse_args().model
    config, tokenizer, params = gguf_file.read(path)
    llama = llama_cpp.Llama(str(path), n_ctx=config.context, n_threads=1, logits_all=True, verbose=False)
    dialogues = Dialogues(Lexicon.load(), _SEED)
    drawn = [dialogues.draw() for _ in range(_DIALOGUES)]
    texts = [text for dialogue in drawn for _, text in dialogue] + list(_ODD_TEXTS)
    same = sum(
        llama.tokenize(text.encode(), add_bos=False, special=False) == tokenizer.encode(text).ids for text in texts
    )
    print(f"tokenizer: {same} of {len(texts)} texts equal")
    ids, _ = encode(drawn[0], lambda text: list(tokenizer.encode(text).ids), special_ids(tokenizer))
    ids = ids[:_MOST_TOKENS]
    ours = np.asarray(hidden(params, jnp.array([ids]), config)[0] @ params["head"].T)
    llama.eval(ids)
    theirs = np.array(llama.scores[: len(ids)])
    agree = (ours.argmax(1) == theirs.argmax(1)).mean()
    print(f"logits over {len(ids)} tokens: max |difference| {np.abs(ours - theirs).max():.4f}, same best {agree:.1%}")


if __name__ == "__main__":
    main()
