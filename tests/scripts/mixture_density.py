"""A mixture of normal distributions as the output, a focal loss by hand, and quantiles from closures."""

import keras
import numpy as np
from keras import layers, ops

from script_tools import same_start

rng = np.random.default_rng(0)
y = rng.uniform(-10, 10, (300, 1)).astype("float32")
x = (np.sin(0.75 * y) * 7 + y * 0.5 + rng.normal(size=y.shape)).astype("float32")

inputs = keras.Input((1,))
h = layers.Dense(32, "tanh")(inputs / 10)
mu = layers.Dense(5, name="mu")(h)
sigma = layers.Dense(5, activation=lambda t: ops.elu(t) + 1.001, name="sigma")(h)
pi = layers.Dense(5, activation="softmax", name="pi")(h)
mixture = keras.Model(inputs, layers.Concatenate(name="mixture")([mu, sigma, pi]))
same_start(mixture)


def negative_log_likelihood(y_true, y_pred):
    mu, sigma, pi = ops.split(y_pred, 3, axis=-1)
    parts = (
        ops.log(pi + 1e-9) - ops.square((y_true - mu) / sigma) / 2 - ops.log(sigma) - 0.5 * np.log(2 * np.pi)
    )
    return -ops.logsumexp(parts, axis=-1)


mixture.compile(keras.optimizers.Adam(1e-2), loss=negative_log_likelihood)
mixture_history = mixture.fit(x, y, epochs=3, batch_size=50, shuffle=False, verbose=2)
print(mixture.predict(x[:1], verbose=0).shape)


def quantile(q):
    def loss(y_true, y_pred):
        error = y_true - y_pred
        return ops.mean(ops.maximum(q * error, (q - 1) * error), axis=-1)

    return loss


h = layers.Dense(16, "relu")(inputs)
quantiles = keras.Model(inputs, [layers.Dense(1, name=f"q{int(q * 100)}")(h) for q in (0.1, 0.5, 0.9)])
same_start(quantiles)
quantiles.compile("rmsprop", loss=[quantile(q) for q in (0.1, 0.5, 0.9)])
quantile_history = quantiles.fit(x, [y, y, y], epochs=2, shuffle=False)


def focal(y_true, y_pred):
    """One number for the batch, so that the class weights only scale it."""
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.clip(y_pred, keras.backend.epsilon(), 1 - keras.backend.epsilon())
    p = ops.where(ops.equal(y_true, 1), y_pred, 1 - y_pred)
    return -ops.mean(0.25 * ops.power(1.0 - p, 2.0) * ops.log(p))


sign = keras.Sequential([keras.Input((1,)), layers.Dense(1, "sigmoid")])
same_start(sign)
sign.compile("adam", focal, metrics=[keras.metrics.Precision(), keras.metrics.Recall()])
sign_history = sign.fit(x, (y > 0).astype(int), epochs=2, shuffle=False, class_weight={0: 1, 1: 3})
