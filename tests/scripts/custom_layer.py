"""A layer of one's own with weights, a config and a loss."""

import keras
from keras import ops

from script_tools import plane, same_start


class Linear(keras.layers.Layer):
    def __init__(self, units=32, rate=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rate = rate

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        outputs = ops.matmul(inputs, self.w) + self.b
        self.add_loss(self.rate * ops.mean(ops.square(outputs)))
        return outputs

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


keras.utils.set_random_seed(11)
x, y = plane(200)
model = keras.Sequential(
    [keras.Input((8,)), Linear(16), keras.layers.Activation("relu"), Linear(1, rate=0.0)]
)
same_start(model)
model.compile(optimizer="sgd", loss="mse")
history = model.fit(x, y, epochs=3, batch_size=20)
copy = Linear.from_config(model.layers[0].get_config())
print(copy.units, copy.rate, copy.name == model.layers[0].name)
