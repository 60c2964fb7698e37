"""Two heads: a loss, a weight and metrics for each by name."""

import keras
from keras import layers

from script_tools import blobs, plane, same_start

keras.utils.set_random_seed(5)
x, kind = blobs(256)
_, size = plane(256)
inputs = keras.Input((8,))
shared = layers.Dense(24, activation="relu")(inputs)
kind_head = layers.Dense(3, activation="softmax", name="kind")(shared)
size_head = layers.Dense(1, name="size")(shared)
model = keras.Model(inputs, [kind_head, size_head])
same_start(model)
model.compile(
    optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
    loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
    loss_weights={"kind": 1.0, "size": 0.25},
    metrics={"kind": ["accuracy"], "size": ["mae", "mse"]},
)
history = model.fit(x, {"kind": kind, "size": size}, epochs=3, batch_size=32)
results = model.evaluate(x, {"kind": kind, "size": size}, verbose=2)
print(model.metrics_names, len(results))
kinds, sizes = model.predict(x[:4], verbose=0)
print(kinds.shape, sizes.shape)
