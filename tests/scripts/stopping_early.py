"""EarlyStopping with the best weights restored, and a rate that falls on a plateau, both telling of it."""

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(19)
x, y = blobs(160, features=4, seed=19)
y = np.where(np.random.default_rng(19).random(160) < 0.3, (y + 1) % 3, y)
model = keras.Sequential(
    [keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
history = model.fit(
    x[:80],
    y[:80],
    epochs=40,
    validation_data=(x[80:], y[80:]),
    verbose=2,
    callbacks=[
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=1e-3, verbose=1),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True, verbose=1),
    ],
)
print(len(history.epoch) < 40, round(min(history.history["val_loss"]), 2))
