"""Windows of a series, the next value from the last twelve, several steps in one execution."""

import keras
import numpy as np

from script_tools import same_start

keras.utils.set_random_seed(32)
t = np.arange(600)
series = (np.sin(t / 9) + 0.1 * np.random.default_rng(32).normal(size=600)).astype("float32")
windows = np.lib.stride_tricks.sliding_window_view(series, 13)
x, y = windows[:, :-1, None], windows[:, -1:]
model = keras.Sequential(
    [keras.Input((12, 1)), keras.layers.Flatten(), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
)
same_start(model)
model.compile(
    optimizer=keras.optimizers.AdamW(0.005, weight_decay=0.01),
    loss=keras.losses.Huber(delta=0.5),
    metrics=[keras.metrics.RootMeanSquaredError()],
    steps_per_execution=4,
)
history = model.fit(x[:480], y[:480], epochs=3, batch_size=32, validation_data=(x[480:], y[480:]))
print(np.round(model.predict(x[-1:], verbose=0).shape, 2))
