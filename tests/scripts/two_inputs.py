"""Two inputs by name: numbers of one kind and of another, joined."""

import keras
import numpy as np
from keras import layers

from script_tools import plane, same_start

keras.utils.set_random_seed(4)
x, y = plane(320)
left = keras.Input(shape=(5,), name="left")
right = keras.Input(shape=(3,), name="right")
a = layers.Dense(16, activation="relu", name="from_left")(left)
b = layers.Dense(8, activation="relu", name="from_right")(right)
joined = layers.concatenate([a, b])
output = layers.Dense(1, name="price")(layers.Dense(8, activation="relu")(joined))
model = keras.Model(inputs=[left, right], outputs=output, name="two_inputs")
same_start(model)
model.summary()
model.compile("adam", "mse")
history = model.fit({"left": x[:, :5], "right": x[:, 5:]}, y, epochs=2, batch_size=64, validation_split=0.25)
again = model.fit([x[:, :5], x[:, 5:]], y, epochs=2, batch_size=64, verbose=0)
print(
    model.predict([x[:3, :5], x[:3, 5:]], verbose=0).shape,
    np.round(model.evaluate([x[:, :5], x[:, 5:]], y), 3),
)
