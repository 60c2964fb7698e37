"""A loss that only the model knows: compute_loss in a class of its own, with a metric in an attribute."""

import keras
from keras import ops

from script_tools import plane, same_start


class Robust(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.error = keras.metrics.Mean(name="error")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        error = ops.mean(ops.square(y - y_pred))
        self.error.update_state(ops.sqrt(error))
        return error + 0.01 * ops.sum(ops.square(self.layers[-1].kernel)) + sum(self.losses)

    def reset_metrics(self):
        super().reset_metrics()
        self.error.reset_state()


keras.utils.set_random_seed(13)
x, y = plane(128)
inputs = keras.Input((8,))
h = keras.layers.Dense(16, activation="relu", kernel_regularizer="l2")(inputs)
model = Robust(inputs, keras.layers.Dense(1)(h))
same_start(model)
model.compile(optimizer="adam")
history = model.fit(x, y, epochs=3, batch_size=16)
print(sorted(history.history))
