"""The network: Llama's architecture in JAX.

RMSNorm, rotary positions on interleaved pairs (the layout of llama.cpp, so nothing is permuted on the way there),
grouped-query attention, SwiGLU and an output matrix of its own.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Params = dict[str, Any]  # embed, head, norm, and blocks: a list of q, k, v, o, gate, up, down, attn_norm, ffn_norm


@dataclass(frozen=True)
class Config:
    """Sizes. `context` is what the file's header says; training dialogues have at most 704 tokens."""

    vocabulary: int = 2048
    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 3
    feed_forward: int = 512
    rope_base: float = 10000.0
    epsilon: float = 1e-5
    context: int = 1024

    @property
    def head_width(self) -> int:
        """Numbers per attention head."""
        return self.width // self.heads


def hidden(params: Params, ids: jax.Array, config: Config) -> jax.Array:
    """Last hidden states, float32 of shape (batch, time, width), for ids of shape (batch, time)."""
    time = ids.shape[1]
    mask = jnp.where(jnp.tril(jnp.ones((time, time), bool)), 0.0, -1e9)
    x = params["embed"][ids]
    for block in params["blocks"]:
        x = x + _attention(block, _rms(x, block["attn_norm"], config.epsilon), mask, config)
        h = _rms(x, block["ffn_norm"], config.epsilon)
        x = x + (jax.nn.silu(h @ block["gate"].T) * (h @ block["up"].T)) @ block["down"].T
    return _rms(x, params["norm"], config.epsilon)


def loss(params: Params, batch: dict[str, jax.Array], config: Config) -> jax.Array:
    """Mean cross-entropy of the assistant's tokens; the head is computed only where it is needed.

    Args:
        params: Weights.
        batch: `ids` (rows, time); `positions`, `targets` and `weights` (n,): flat positions that are judged.
        config: Sizes.
    """
    x = hidden(params, batch["ids"], config).reshape(-1, config.width)[batch["positions"]]
    logits = x @ params["head"].T
    right = jnp.take_along_axis(logits, batch["targets"][:, None], 1)[:, 0]
    return ((jax.nn.logsumexp(logits, -1) - right) * batch["weights"]).sum() / batch["weights"].sum()


def _attention(block: Params, h: jax.Array, mask: jax.Array, config: Config) -> jax.Array:
    batch, time, _ = h.shape
    group = config.heads // config.kv_heads
    q = _rotate((h @ block["q"].T).reshape(batch, time, config.heads, config.head_width), config.rope_base)
    q = q.reshape(batch, time, config.kv_heads, group, config.head_width)
    k = _rotate((h @ block["k"].T).reshape(batch, time, config.kv_heads, config.head_width), config.rope_base)
    v = (h @ block["v"].T).reshape(batch, time, config.kv_heads, config.head_width)
    scores = jnp.einsum("btkgd,bskd->bkgts", q, k) * config.head_width**-0.5 + mask
    mixed = jnp.einsum("bkgts,bskd->btkgd", jax.nn.softmax(scores, -1), v)
    output: jax.Array = mixed.reshape(batch, time, config.width) @ block["o"].T
    return output


def _rms(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + epsilon) * weight


def _rotate(x: jax.Array, base: float) -> jax.Array:
    """Rotate the pairs (0,1), (2,3), ... of each head; x is (batch, time, heads, head width)."""
    time, width = x.shape[1], x.shape[3]
    angle = jnp.arange(time)[:, None] * base ** (-jnp.arange(0, width, 2) / width)[None]
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)
