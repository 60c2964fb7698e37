"""JAX: one jitted step with donated state, and a `lax.scan` over a whole epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from workloads import Workload, data, initial


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    if workload.task != "fit":
        return forward(workload, variant)
    x, y = (jnp.asarray(a) for a in data(workload))
    step = training_step(workload, x, y)
    params = [jnp.asarray(w) for w in initial(workload)]
    momentum = [jnp.zeros_like(p) for p in params]
    second = [jnp.zeros_like(p) if workload.optimizer == "adam" else jnp.zeros(()) for p in params]
    state = (params, momentum, second, jnp.zeros(()), jax.random.key(0))
    one = jax.jit(step, donate_argnums=0)
    scan = jax.jit(lambda s, order: jax.lax.scan(step, s, order), donate_argnums=0)
    shuffle = np.random.default_rng(0).permutation
    batch, whole = workload.batch, len(x) // workload.batch

    def fit(epochs: int) -> float:
        nonlocal state
        for _ in range(epochs):
            order = shuffle(len(x)).astype("int32")
            batches, rest = order[: whole * batch].reshape(whole, batch), order[whole * batch :]
            if variant == "scan":
                state, losses = scan(state, batches)
                loss = losses[-1]
            else:
                for rows in batches:
                    state, loss = one(state, rows)
            if len(rest):
                state, loss = one(state, rest)
        return float(loss)  # waits until all is done

    return fit


def logits(workload: Workload, params: list[Any], h: Any, key: Any) -> Any:
    """The network; `key` is for dropout, None outside training."""
    keep, layers = 1.0 - workload.dropout, len(params) // 2
    for i in range(layers):
        h = h @ params[2 * i] + params[2 * i + 1]
        if i < layers - 1:
            h = jax.nn.relu(h)
            if workload.dropout and key is not None:
                mask = jax.random.bernoulli(jax.random.fold_in(key, i), keep, h.shape)
                h = jnp.where(mask, h / keep, 0.0)
    return h


def training_step(workload: Workload, x: Any, y: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """(state, row numbers) → (new state, loss)."""

    def loss_of(params: list[Any], xb: Any, yb: Any, key: Any) -> Any:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits(workload, params, xb, key)), yb[:, None], -1)
        return -jnp.mean(chosen)

    def adam(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
        m = m + (g - m) * 0.1
        v = v + (g * g - v) * 0.001
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return p - rate * m / (jnp.sqrt(v) + 1e-7), m, v

    def momentum(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
        m = 0.9 * m - 0.01 * g
        return p + m, m, v

    update = adam if workload.optimizer == "adam" else momentum

    def step(state: Any, rows: Any) -> tuple[Any, Any]:
        params, m, v, t, key = state
        key, used = jax.random.split(key)
        loss, grads = jax.value_and_grad(loss_of)(params, x[rows], y[rows], used)
        new = [update(*a, t + 1.0) for a in zip(params, grads, m, v, strict=True)]
        return ([a[0] for a in new], [a[1] for a in new], [a[2] for a in new], t + 1.0, key), loss

    return step


def forward(workload: Workload, variant: str) -> Callable[[int], float]:
    """Calls of the jitted network; to predict is to begin and end with a NumPy array."""
    if variant == "scan":
        raise NotImplementedError("a scan is for many batches")
    params = [jnp.asarray(w) for w in initial(workload)]
    x = data(workload)[0]
    network = jax.jit(lambda params, h: jax.nn.softmax(logits(workload, params, h, None)))
    array = jnp.asarray(x)

    def call(times: int) -> float:
        for _ in range(times):
            result = network(params, array).block_until_ready()
        return float(result[0, 0])

    def predict(times: int) -> float:
        for _ in range(times):
            result = np.asarray(network(params, x))
        return float(result[0, 0])

    return call if workload.task == "call" else predict
