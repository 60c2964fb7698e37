"""Regression on columns brought to the same scale, with two metrics, one line an epoch."""

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(2)
x, y = plane(300)
x = x * [1, 10, 100, 1, 1, 5, 1, 1] + 3
mean, std = x[:200].mean(axis=0), x[:200].std(axis=0)
x = (x - mean) / std
model = keras.models.Sequential()
model.add(keras.layers.Input((8,)))
model.add(keras.layers.Dense(16, activation="tanh"))
model.add(keras.layers.Dense(1))
same_start(model)
model.compile(optimizer=keras.optimizers.RMSprop(learning_rate=0.01), loss="mse", metrics=["mae", "mape"])
history = model.fit(x[:200], y[:200], epochs=4, verbose=2, validation_data=(x[200:], y[200:]))
print(model.evaluate(x[200:], y[200:], verbose=0, return_dict=True).keys())
print(sorted(history.history))
