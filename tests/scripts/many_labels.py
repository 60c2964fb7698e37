"""Several labels at once from logits; thresholds, F score."""

import keras
import numpy as np

from script_tools import plane, same_start

keras.utils.set_random_seed(29)
x, _ = plane(256)
y = (x @ np.random.default_rng(29).normal(0, 1, (8, 4)) > 0).astype("float32")
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(4)])
same_start(model)
model.compile(
    optimizer=keras.optimizers.Adamax(0.02),
    loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.05),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0.0), keras.metrics.MeanSquaredError(name="brier")],
)
history = model.fit(x, y, epochs=3, batch_size=32, validation_split=0.1)
