"""Clipped gradients, gradients of several batches added up, averaged weights."""

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(34)
x, y = plane(256)
histories = []
for optimizer in (
    keras.optimizers.SGD(0.05, clipnorm=0.5),
    keras.optimizers.SGD(0.05, global_clipnorm=0.5, nesterov=True, momentum=0.8),
    keras.optimizers.Adam(0.01, clipvalue=0.1),
    keras.optimizers.Adam(0.01, gradient_accumulation_steps=4),
    keras.optimizers.RMSprop(0.01, use_ema=True, ema_momentum=0.9),
):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, "relu"), keras.layers.Dense(1)])
    same_start(model)
    model.compile(optimizer, "mse")
    histories.append(model.fit(x, y, epochs=2, batch_size=16, verbose=2))
    print(model.evaluate(x, y, verbose=0) > 0)
