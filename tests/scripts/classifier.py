"""The first page of every tutorial: a chain of dense layers, a bar for each epoch, evaluate, predict."""

import keras
import numpy as np
from keras import layers

from script_tools import blobs, same_start

keras.utils.set_random_seed(1)
x, y = blobs(400)
model = keras.Sequential(
    [
        keras.Input(shape=(8,)),
        layers.Dense(32, activation="relu"),
        layers.Dense(16, activation="relu"),
        layers.Dense(3, activation="softmax"),
    ]
)
same_start(model)
model.summary()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x[:300], y[:300], epochs=5, batch_size=32, validation_split=0.2)
loss, accuracy = model.evaluate(x[300:], y[300:])
print("test loss:", round(loss, 3), "test accuracy:", round(accuracy, 3))
probabilities = model.predict(x[300:])
print(probabilities.shape, np.bincount(probabilities.argmax(axis=1)))
