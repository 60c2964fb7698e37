"""An endless generator of batches with weights, so many steps an epoch."""

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(16)
x, y = plane(300)


def batches(x, y, size):
    while True:
        for start in range(0, len(x) - size + 1, size):
            rows = slice(start, start + size)
            yield x[rows], y[rows], 1.0 + (y[rows, 0] > 0)


model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(12, "gelu"), keras.layers.Dense(1)])
same_start(model)
model.compile("adam", "mse", weighted_metrics=["mae"])
history = model.fit(
    batches(x[:240], y[:240], 24),
    steps_per_epoch=7,
    epochs=3,
    validation_data=(x[240:], y[240:]),
)
print(model.predict(((x[i : i + 10],) for i in (0, 10)), verbose=0).shape)
