"""Starting weights with a rough copying ("induction") circuit laid into two layers.

Copying unseen names is most of what this model has to learn, and a small model stays long on a plateau before it
finds how. So the residual stream starts with separate regions: the own token (first half; entry 0 is a constant), the
previous token (the next `head_width`), and the output (the rest). Layer 0 looks one and two tokens back. In layer 1,
heads of the first two groups look for the place whose previous token equals the current one and copy what is there.
Circuit: https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/
"""

import jax
import jax.numpy as jnp
import numpy as np
from network import Config, Params

_COPY_STRENGTH = 0.06


def initial(config: Config, seed: int) -> Params:
    """Random weights with the circuit, float32."""
    random = np.random.default_rng(seed)
    own = config.width // 2
    blocks = [_block(config, random) for _ in range(config.layers)]
    embed = random.standard_normal((config.vocabulary, config.width))
    embed *= np.where(np.arange(config.width) < own, 1.0, 0.1)
    embed[:, 0] = 3.0
    code = _orthonormal(random, config.head_width, own - 1)
    _look_back(blocks[0], config, code)
    copied = _orthonormal(random, 2 * config.head_width, own - 1)
    matching = _orthonormal(random, config.head_width // 2, config.head_width) * 2.0
    head = random.standard_normal((config.vocabulary, config.width)) * 0.01
    for group in (0, 1):
        start = own + config.head_width + group * (config.width - own - config.head_width) // 2
        rows = copied[group * config.head_width : (group + 1) * config.head_width]
        _match_and_copy(blocks[1], config, group, start, (matching, code, rows))
        head[:, start : start + config.head_width] += _COPY_STRENGTH * embed[:, 1:own] @ rows.T
    params = {"embed": embed, "head": head, "norm": np.ones(config.width), "blocks": blocks}
    converted: Params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    return converted


def _block(config: Config, random: np.random.Generator) -> dict[str, np.ndarray]:
    width, inner, kv = config.width, config.feed_forward, config.head_width * config.kv_heads
    shapes = {
        "q": (width, width),
        "k": (kv, width),
        "v": (kv, width),
        "o": (width, width),
        "gate": (inner, width),
        "up": (inner, width),
        "down": (width, inner),
    }
    block = {name: random.standard_normal(shape) * shape[1] ** -0.5 for name, shape in shapes.items()}
    for name in ("o", "down"):
        block[name] *= 0.2
    return block | {"attn_norm": np.ones(width), "ffn_norm": np.ones(width)}


def _orthonormal(random: np.random.Generator, rows: int, length: int) -> np.ndarray:
    return np.linalg.qr(random.standard_normal((length, rows)))[0].T


def _look_back(block: dict[str, np.ndarray], config: Config, code: np.ndarray) -> None:
    """Heads 0 and 1 attend one and two tokens back; the code of that token goes into its region."""
    size, own = config.head_width, config.width // 2
    theta = config.rope_base ** (-np.arange(0, size, 2) / size)
    block["k"][:size], block["q"][: 2 * size] = 0, 0
    block["k"][:size:2, 0] = 1.5
    for head in (0, 1):
        block["q"][head * size : (head + 1) * size : 2, 0] = 1.5 * np.cos((head + 1) * theta)
        block["q"][head * size + 1 : (head + 1) * size : 2, 0] = -1.5 * np.sin((head + 1) * theta)
    block["v"][:size] = 0
    block["v"][:size, 1:own] = code
    block["o"][:, :size] = 0
    block["o"][own : own + size, :size] = np.eye(size)


def _match_and_copy(
    block: dict[str, np.ndarray],
    config: Config,
    group: int,
    start: int,
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Heads of a group find the current token's earlier place. Only the slowly rotating half can match far away."""
    matching, code, rows = maps
    size, own, heads = config.head_width, config.width // 2, config.heads // config.kv_heads
    here, slow = slice(group * size, (group + 1) * size), slice(group * size + size // 2, (group + 1) * size)
    block["k"][here] = 0
    block["k"][slow, own : own + size] = matching
    block["v"][here] = 0
    block["v"][here, 1:own] = rows
    for head in range(group * heads, (group + 1) * heads):
        block["q"][head * size : (head + 1) * size] = 0
        block["q"][head * size + size // 2 : (head + 1) * size, 1:own] = matching @ code
        block["o"][:, head * size : (head + 1) * size] = 0
        block["o"][start : start + size, head * size : (head + 1) * size] = np.eye(size) / heads * 2
