"""The best weights kept on disk while training, the whole model saved, loaded and trained further."""

import os
import tempfile

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(35)
x, y = blobs(200)
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
with tempfile.TemporaryDirectory() as folder:
    best = os.path.join(folder, "best.weights.h5")
    keep = keras.callbacks.ModelCheckpoint(
        best, save_weights_only=True, save_best_only=True, monitor="val_loss"
    )
    first = model.fit(
        x[:150], y[:150], epochs=3, validation_data=(x[150:], y[150:]), callbacks=[keep], verbose=2
    )
    model.load_weights(best)
    path = os.path.join(folder, "model.keras")
    model.save(path)
    loaded = keras.models.load_model(path)
    print(np.allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0)), os.path.exists(best))
    second = loaded.fit(x[:150], y[:150], epochs=2, verbose=2)
print(int(loaded.optimizer.iterations))
