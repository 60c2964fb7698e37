"""Batches made on demand by a PyDataset with two workers."""

import keras
import numpy as np

from script_tools import blobs, same_start


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return int(np.ceil(len(self.x) / self.size))

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows] / 2, self.y[rows]


keras.utils.set_random_seed(18)
x, y = blobs(290)
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
validation = Batches(x[230:], y[230:], 32)
print("untrained:", [round(value, 3) for value in model.evaluate(validation, verbose=0)])
history = model.fit(
    Batches(x[:230], y[:230], 32, workers=2, max_queue_size=4),
    epochs=3,
    shuffle=False,
    validation_data=validation,
)
print(model.evaluate(validation, verbose=0, return_dict=True).keys())
