"""Outputs in a dict, a weight for every sample of every head, weighted metrics."""

import keras
import numpy as np
from keras import layers

from script_tools import blobs, plane, same_start

keras.utils.set_random_seed(6)
x, kind = blobs(200)
_, size = plane(200)
inputs = keras.Input((8,), name="x")
h = layers.Dense(16, activation="tanh", name="h")(inputs)
model = keras.Model(
    {"x": inputs}, {"kind": layers.Dense(3, name="kind")(h), "size": layers.Dense(1, name="size")(h)}
)
same_start(model)
model.compile(
    optimizer="adam",
    loss={"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": keras.losses.Huber()},
    metrics={"kind": "accuracy"},
    weighted_metrics={"size": ["mae"]},
)
weights = {"kind": np.ones(200), "size": np.linspace(0, 2, 200)}
history = model.fit({"x": x}, {"kind": kind, "size": size}, sample_weight=weights, epochs=3, batch_size=40)
outputs = model.predict({"x": x}, verbose=0)
print(sorted(outputs), {name: value.shape for name, value in outputs.items()})
