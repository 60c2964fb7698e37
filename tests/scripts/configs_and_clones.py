"""A model from a config, a clone, and a model from JSON, each with the weights of the first."""

import keras
import numpy as np
from keras import layers

from script_tools import blobs, same_start

keras.utils.set_random_seed(31)
x, y = blobs(150)
inputs = keras.Input((8,), name="features")
h = layers.Dense(12, activation="relu", kernel_initializer="he_normal", name="h")(inputs)
model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(h), name="first")
same_start(model)
model.compile("adam", "sparse_categorical_crossentropy")
history = model.fit(x, y, epochs=2, verbose=2)
expected = model.predict(x, verbose=0)
copies = [
    keras.Model.from_config(model.get_config()),
    keras.models.clone_model(model),
    keras.models.model_from_json(model.to_json()),
]
for copy in copies:
    copy.set_weights(model.get_weights())
    print(copy.name, [layer.name for layer in copy.layers], np.allclose(copy.predict(x, verbose=0), expected))
