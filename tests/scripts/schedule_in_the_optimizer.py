"""Rates that fall while training: cosine with warm-up, exponential, piecewise."""

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(22)
x, y = plane(256)
schedules = keras.optimizers.schedules
histories = []
for rate in (
    schedules.CosineDecay(0.0, decay_steps=40, warmup_target=0.02, warmup_steps=8),
    schedules.ExponentialDecay(0.02, decay_steps=8, decay_rate=0.8, staircase=True),
    schedules.PiecewiseConstantDecay([10, 20], [0.02, 0.01, 0.005]),
    schedules.PolynomialDecay(0.02, 40, end_learning_rate=0.001, power=2.0),
):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])
    same_start(model)
    model.compile(keras.optimizers.Adam(learning_rate=rate), "mse")
    histories.append(model.fit(x, y, epochs=4, batch_size=32, verbose=2))
    print(type(rate).__name__, int(model.optimizer.iterations))
