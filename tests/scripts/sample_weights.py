"""A weight for every sample, in training and validation, with weighted metrics."""

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(24)
x, y = blobs(260)
targets = keras.utils.to_categorical(y, 3)
weights = np.where(y == 0, 3.0, 1.0)
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "selu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile(
    optimizer=keras.optimizers.Nadam(0.01),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy"],
    weighted_metrics=[keras.metrics.CategoricalAccuracy(name="weighted"), "mse"],
)
history = model.fit(
    x[:200],
    targets[:200],
    sample_weight=weights[:200],
    validation_data=(x[200:], targets[200:], weights[200:]),
    epochs=3,
    batch_size=25,
)
