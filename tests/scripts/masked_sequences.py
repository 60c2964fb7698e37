"""Sequences of unequal length: padded steps are masked and count in no loss."""

import keras
import numpy as np

from script_tools import same_start

keras.utils.set_random_seed(26)
rng = np.random.default_rng(26)
x = rng.normal(0, 1, (128, 6, 4)).astype("float32")
lengths = rng.integers(2, 7, 128)
x[np.arange(6) >= lengths[:, None]] = 0.0
y = x.sum(axis=-1, keepdims=True)
inputs = keras.Input((6, 4))
h = keras.layers.Masking(mask_value=0.0)(inputs)
h = keras.layers.Dense(8, activation="tanh")(h)
model = keras.Model(inputs, keras.layers.Dense(1)(h))
same_start(model)
model.compile("adam", "mse")
history = model.fit(x, y, epochs=3, batch_size=16)
print(model.evaluate(x, y, verbose=2, return_dict=True).keys())
