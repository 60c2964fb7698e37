"""JAX: one jitted step with donated state, and a `lax.scan` over a whole epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads import Workload

VARIANTS = {"jit": "one jitted, donated step", "scan": "lax.scan over an epoch"}


def make(workload: Workload, variant: str, threads: int) -> Callable[[int], float]:
    import jax
    import jax.numpy as jnp

    keep = 1.0 - workload.dropout
    layers = len(workload.sizes) - 1

    def loss_of(params: list[Any], x: Any, y: Any, key: Any) -> Any:
        h = x
        for i in range(layers):
            h = h @ params[2 * i] + params[2 * i + 1]
            if i < layers - 1:
                h = jax.nn.relu(h)
                if workload.dropout:
                    mask = jax.random.bernoulli(jax.random.fold_in(key, i), keep, h.shape)
                    h = jnp.where(mask, h / keep, 0.0)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(h), y[:, None], -1)
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
    x, y = (jnp.asarray(a) for a in workload.data())

    def step(state: Any, rows: Any) -> tuple[Any, Any]:
        params, m, v, t, key = state
        key, used = jax.random.split(key)
        loss, grads = jax.value_and_grad(loss_of)(params, x[rows], y[rows], used)
        new = [update(*a, t + 1.0) for a in zip(params, grads, m, v, strict=True)]
        return ([a[0] for a in new], [a[1] for a in new], [a[2] for a in new], t + 1.0, key), loss

    params = [jnp.asarray(w) for w in workload.initial()]
    slot = [jnp.zeros_like(p) for p in params]
    second = slot if workload.optimizer == "adam" else [jnp.zeros(()) for _ in params]
    state = (params, slot, [jnp.array(s) for s in second], jnp.zeros(()), jax.random.key(0))
    batches = len(x) // workload.batch
    one = jax.jit(step, donate_argnums=0)
    scan = jax.jit(lambda s, order: jax.lax.scan(step, s, order), donate_argnums=0)
    shuffle = jax.jit(
        lambda key: jax.random.permutation(key, len(x))[: batches * workload.batch].reshape(batches, -1)
    )

    def run(steps: int) -> float:
        nonlocal state
        done, loss = 0, jnp.zeros(())
        while done < steps:
            order = shuffle(jax.random.key(done))
            if variant == "scan":
                state, losses = scan(state, order)
                loss, done = losses[-1], done + batches
                continue
            for rows in order[: steps - done]:
                state, loss = one(state, rows)
            done += batches
        return float(loss)

    return run
