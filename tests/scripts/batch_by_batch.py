"""train_on_batch and test_on_batch in a loop, with metrics kept over an epoch."""

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(25)
x, y = blobs(256)
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
losses = []
for epoch in range(2):
    order = np.random.default_rng(epoch).permutation(192)
    for rows in np.split(order, 6):
        loss, accuracy = model.train_on_batch(x[rows], y[rows])
        losses.append(loss)
    print(epoch, round(float(loss), 3), round(float(accuracy), 2))
    results = model.test_on_batch(x[192:], y[192:], return_dict=True)
    print({name: round(float(value), 3) for name, value in sorted(results.items())})
print(model.predict_on_batch(x[:5]).shape)
