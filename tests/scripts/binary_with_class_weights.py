"""Rare positives: class weights, areas under curves, precision and recall."""

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(3)
x, y = blobs(600, classes=10)
y = (y == 3).astype("int32")
positives = y.sum()
weights = {0: len(y) / (2 * (len(y) - positives)), 1: len(y) / (2 * positives)}
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1, "sigmoid")]
)
same_start(model)
model.compile(
    optimizer=keras.optimizers.Adam(1e-2),
    loss=keras.losses.BinaryCrossentropy(),
    metrics=[
        keras.metrics.BinaryAccuracy(name="accuracy"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.AUC(name="auc"),
        keras.metrics.AUC(name="prc", curve="PR"),
    ],
)
history = model.fit(
    x[:500], y[:500], batch_size=50, epochs=3, class_weight=weights, validation_data=(x[500:], y[500:])
)
print(np.round(model.predict(x[500:505], verbose=0), 2))
