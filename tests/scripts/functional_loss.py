"""A penalty like a variational autoencoder's: a layer of one's own adds a loss inside a functional model."""

import keras
from keras import layers, ops

from script_tools import blobs, same_start


class Penalty(layers.Layer):
    def call(self, inputs):
        mean, log_var = inputs
        kl = -0.5 * ops.mean(ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=1))
        self.add_loss(0.01 * kl)
        return mean


keras.utils.set_random_seed(36)
x, _ = blobs(256)
inputs = keras.Input((8,))
h = layers.Dense(16, activation="relu")(inputs)
code = Penalty()([layers.Dense(2, name="mean")(h), layers.Dense(2, name="log_var")(h)])
outputs = layers.Dense(8)(layers.Dense(16, activation="relu")(code))
model = keras.Model(inputs, outputs)
same_start(model)
model.compile("adam", "mse")
history = model.fit(x, x, epochs=3, batch_size=32)
print(model.evaluate(x, x, verbose=2) > 0)
