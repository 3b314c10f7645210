"""One training step: Muon for the matrices of the blocks, Adam for the rest.

Muon: https://kellerjordan.github.io/posts/muon/
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from network import Config, Params, loss

_MATRICES = ("q", "k", "v", "o", "gate", "up", "down")
_MUON_RATE, _EMBEDDING_RATE, _ADAM_RATE = 0.012, 0.01, 4e-3
_LARGEST_NORM = 1.0

Step = Callable[
    [Params, Params, Params, dict[str, Any], jax.Array, jax.Array], tuple[Params, Params, Params, jax.Array]
]


def make_step(config: Config) -> Step:
    """A compiled `(params, momentum, squares, batch, step number, rate) -> (params, momentum, squares, loss)`.

    The step number counts from 1; the rate scales all learning rates.
    """

    @jax.jit
    def step(
        params: Params, momentum: Params, squares: Params, batch: dict[str, Any], number: jax.Array, rate: jax.Array
    ) -> tuple[Params, Params, Params, jax.Array]:
        value, grads = jax.value_and_grad(loss)(params, batch, config)
        norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
        grads = jax.tree.map(lambda g: g * jnp.minimum(1.0, _LARGEST_NORM / (norm + 1e-6)), grads)

        def one(path: Any, p: jax.Array, g: jax.Array, m: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
            keys = [getattr(key, "key", "") for key in path]
            if any(key in _MATRICES for key in keys):
                m = 0.95 * m + g
                shape_factor = max(1, p.shape[0] / p.shape[1]) ** 0.5
                return p - rate * _MUON_RATE * shape_factor * _orthogonal(g + 0.95 * m), m, v
            m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
            size = _EMBEDDING_RATE if "embed" in keys else _ADAM_RATE
            return p - rate * size * (m / (1 - 0.9**number)) / (jnp.sqrt(v / (1 - 0.98**number)) + 1e-8), m, v

        moved = jax.tree_util.tree_map_with_path(one, params, grads, momentum, squares)
        params, momentum, squares = jax.tree.transpose(jax.tree.structure(params), jax.tree.structure((0, 0, 0)), moved)
        return params, momentum, squares, value

    return step


def _orthogonal(g: jax.Array) -> jax.Array:
    """Roughly the nearest (semi-)orthogonal matrix, by Newton-Schulz iteration."""
    x: jax.Array = g.T if g.shape[0] > g.shape[1] else g
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if g.shape[0] > g.shape[1] else x
