"""Trains the demo model on the CPU.

    python train.py --out chatbot-demo.gguf --minutes 90                              # from scratch
    python train.py --start chatbot-demo.gguf --out new.gguf --minutes 40 --rate 0.5  # go on from a file

The file is written every two minutes. The learning rate falls linearly with the clock: the machine may be shared.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import gguf_file
import jax
import jax.numpy as jnp
import numpy as np
import tokenizer as text_tokenizer
from batches import batches
from corpus.dialogues import Dialogues
from corpus.lexicon import Lexicon
from initial import initial
from network import Config, Params
from optimiser import make_step
from tokenizers import Tokenizer

_TOKENIZER_DIALOGUES, _TOKENIZER_SEED = 12000, 99
_WARM_UP_STEPS, _REPORT_STEPS, _SAVE_SECONDS = 20, 20, 120


def fresh(lexicon: Lexicon, seed: int) -> tuple[Config, Tokenizer, Params]:
    """Sizes, tokenizer and weights to begin with."""
    config, dialogues = Config(), Dialogues(lexicon, _TOKENIZER_SEED)
    texts = (text for _ in range(_TOKENIZER_DIALOGUES) for _, text in dialogues.draw())
    return config, text_tokenizer.learn(texts, config.vocabulary), initial(config, seed)


def train(args: argparse.Namespace) -> None:
    """Train for `args.minutes` and leave the file at `args.out`."""
    lexicon = Lexicon.load()
    config, tokenizer, params = gguf_file.read(args.start) if args.start else fresh(lexicon, args.seed)
    params = jax.tree.map(jnp.asarray, params)
    momentum, squares = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    step, source = make_step(config), batches(tokenizer, Dialogues(lexicon, args.seed), args.positions, args.seed)
    losses: list[Any] = []
    number, start = 0, time.monotonic()
    saved = start
    while (done := (time.monotonic() - start) / 60 / args.minutes) < 1:
        number += 1
        rate = args.rate * min(number / _WARM_UP_STEPS, 1.02 - done)
        params, momentum, squares, loss = step(
            params, momentum, squares, next(source), jnp.float32(number), jnp.float32(rate)
        )
        losses.append(float(loss))
        if number % _REPORT_STEPS == 0:
            speed = number * args.positions / (time.monotonic() - start)
            print(f"step {number}, {done:.0%}, loss {np.mean(losses):.4f}, {speed:.0f} positions/s", flush=True)
            losses.clear()
        if time.monotonic() - saved > _SAVE_SECONDS:
            gguf_file.write(args.out, config, tokenizer, params)
            saved = time.monotonic()
    gguf_file.write(args.out, config, tokenizer, params)
    cpu_minutes = time.process_time() / 60
    print(f"{number} steps, {number * args.positions / 1e6:.1f} M positions, {cpu_minutes:.1f} CPU-minutes")


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, help="go on from this file; without it, from scratch")
    parser.add_argument("--out", type=Path, default=Path("new.gguf"))
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--rate", type=float, default=1.0, help="scale of the learning rates; 0.5 to go on from a file")
    parser.add_argument("--positions", type=int, default=4096, help="per batch")
    parser.add_argument("--seed", type=int, default=1, help="another one each time: it draws the dialogues")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
