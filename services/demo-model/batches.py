"""Endless batches of training dialogues."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from corpus.chat_form import encode
from corpus.dialogues import Dialogues
from tokenizer import special_ids
from tokenizers import Tokenizer

_LENGTHS = (128, 192, 256, 320, 416, 512, 704)  # padded dialogue lengths; the step is compiled once for each
_JUDGED_SHARE = 0.45  # most positions of a batch that are the assistant's
_CHUNK = 1500  # dialogues drawn at a time, so that batches of all lengths are mixed

Row = tuple[list[int], list[bool]]


def batches(tokenizer: Tokenizer, dialogues: Dialogues, positions: int, seed: int) -> Iterator[dict[str, Any]]:
    """Batches of about `positions` positions. Dialogues of like length share one, so little is padding."""
    special, shuffle = special_ids(tokenizer), random.Random(seed)
    waiting: dict[int, list[Row]] = {length: [] for length in _LENGTHS}
    while True:
        ready = []
        for _ in range(_CHUNK):
            row = encode(dialogues.draw(), lambda text: list(tokenizer.encode(text).ids), special)
            length = next((length for length in _LENGTHS if len(row[0]) <= length + 1), None)
            if length is None:
                continue
            waiting[length].append(row)
            if len(waiting[length]) == positions // length:
                ready.append((length, waiting[length]))
                waiting[length] = []
        shuffle.shuffle(ready)
        for length, rows in ready:
            yield _batch(rows, length, special["<|pad|>"], int(positions * _JUDGED_SHARE))


def _batch(rows: list[Row], length: int, pad: int, most_judged: int) -> dict[str, Any]:
    ids = np.full((len(rows), length + 1), pad, np.int32)
    own = np.zeros((len(rows), length + 1), bool)
    for number, (row_ids, row_own) in enumerate(rows):
        ids[number, : len(row_ids)], own[number, : len(row_ids)] = row_ids, row_own
    judged = np.flatnonzero(own[:, 1:])[:most_judged]
    rest = (0, most_judged - len(judged))
    return {
        "ids": ids[:, :-1],
        "positions": np.pad(judged, rest).astype(np.int32),
        "targets": np.pad(ids[:, 1:].reshape(-1)[judged], rest),
        "weights": np.pad(np.ones(len(judged), np.float32), rest),
    }
