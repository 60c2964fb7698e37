"""Two inputs through the same layers: are they of one class?"""

import keras
import numpy as np
from keras import layers, ops

from script_tools import blobs, same_start

keras.utils.set_random_seed(8)
x, y = blobs(300)
rng = np.random.default_rng(8)
left, right = rng.integers(0, 300, 400), rng.integers(0, 300, 400)
same = (y[left] == y[right]).astype("float32")

encoder = keras.Sequential([keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(4)], name="encoder")
a, b = keras.Input((8,)), keras.Input((8,))
distance = layers.Lambda(lambda t: ops.sqrt(ops.sum(ops.square(t[0] - t[1]), axis=1, keepdims=True) + 1e-6))(
    [encoder(a), encoder(b)]
)
model = keras.Model([a, b], distance)
same_start(model)


def contrastive(y_true, y_pred, margin=1.0):
    y_true = ops.cast(y_true, y_pred.dtype)
    return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * ops.square(ops.maximum(margin - y_pred, 0)))


model.compile(optimizer="rmsprop", loss=contrastive)
history = model.fit([x[left], x[right]], same, batch_size=50, epochs=3)
print(model.count_params(), len(model.layers))
