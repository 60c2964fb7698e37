"""Training that goes on: initial_epoch, validation every second epoch, the whole history."""

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(33)
x, y = plane(210)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, "softplus"), keras.layers.Dense(1)])
same_start(model)
model.compile(keras.optimizers.Lion(0.003), "log_cosh", metrics=["mse"])
first = model.fit(x, y, epochs=2, validation_split=0.3, validation_freq=2)
second = model.fit(x, y, initial_epoch=2, epochs=5, validation_split=0.3, validation_freq=2)
print(first.epoch, second.epoch, {k: len(v) for k, v in second.history.items()})
