"""Inputs in a nested structure: a dict with a list within."""

import keras
from keras import layers

from script_tools import plane, same_start

keras.utils.set_random_seed(7)
x, y = plane(160)
inputs = {
    "wide": keras.Input((4,), name="wide"),
    "deep": [keras.Input((2,), name="a"), keras.Input((2,), name="b")],
}
deep = layers.Concatenate()(inputs["deep"])
deep = layers.Dense(12, activation="relu")(deep)
outputs = layers.Dense(1)(layers.Concatenate()([inputs["wide"], deep]))
model = keras.Model(inputs, outputs)
same_start(model)
model.compile("adam", "mae")
data = {"wide": x[:, :4], "deep": [x[:, 4:6], x[:, 6:]]}
history = model.fit(data, y, epochs=2, batch_size=16, verbose=2)
print(model.predict(data, verbose=0).shape)
