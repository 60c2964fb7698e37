"""LearningRateScheduler, a log as CSV and a LambdaCallback."""

import csv
import math
import tempfile

import keras

from script_tools import plane, same_start

keras.utils.set_random_seed(20)
x, y = plane(128)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "swish"), keras.layers.Dense(1)])
same_start(model)
model.compile(keras.optimizers.SGD(0.1), "mse")


def step_decay(epoch, rate):
    return rate if epoch < 2 else rate * math.exp(-0.5)


with tempfile.NamedTemporaryFile("r", suffix=".csv") as file:
    history = model.fit(
        x,
        y,
        epochs=4,
        verbose=0,
        callbacks=[
            keras.callbacks.LearningRateScheduler(step_decay, verbose=1),
            keras.callbacks.CSVLogger(file.name, separator=","),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs))),
        ],
    )
    rows = list(csv.DictReader(file))
print(len(rows), sorted(rows[0]), round(float(model.optimizer.learning_rate), 4))
