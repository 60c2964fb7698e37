"""Blocks with batch normalisation and a way around them."""

import keras
from keras import layers

from script_tools import blobs, same_start

keras.utils.set_random_seed(27)
x, y = blobs(320)


def block(x, units):
    shortcut = x
    x = layers.Dense(units, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Dense(units)(x)
    return layers.Add()([shortcut, x])


inputs = keras.Input((8,))
h = layers.Dense(16)(inputs)
for _ in range(2):
    h = block(h, 16)
outputs = layers.Dense(3, activation="softmax")(layers.LayerNormalization()(h))
model = keras.Model(inputs, outputs, name="residual")
same_start(model)
model.summary()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=3, batch_size=64, validation_split=0.2)
