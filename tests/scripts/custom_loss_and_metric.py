"""A loss as a function, a loss as a class and a metric as a class."""

import keras
from keras import ops

from script_tools import plane, same_start


def pinball(y_true, y_pred):
    error = y_true - y_pred
    return ops.mean(ops.maximum(0.9 * error, -0.1 * error), axis=-1)


class LogCoshPlus(keras.losses.Loss):
    def __init__(self, factor=0.1, name="log_cosh_plus"):
        super().__init__(name=name)
        self.factor = factor

    def call(self, y_true, y_pred):
        return ops.mean(ops.log(ops.cosh(y_pred - y_true)) + self.factor * ops.abs(y_pred - y_true), axis=-1)


class Bias(keras.metrics.Metric):
    def __init__(self, name="bias", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")
        self.total.assign(self.total + ops.sum(error))
        self.count.assign(self.count + ops.cast(ops.size(error), "float32"))

    def result(self):
        return self.total / self.count


keras.utils.set_random_seed(12)
x, y = plane(192)
histories = []
for loss in (pinball, LogCoshPlus()):
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, activation="elu"), keras.layers.Dense(1)]
    )
    same_start(model)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=[Bias(), "mse"])
    histories.append(model.fit(x, y, epochs=3, batch_size=24, verbose=2))
