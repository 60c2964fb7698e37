"""A model made of models: encoder and decoder, which are then used on their own."""

import keras
import numpy as np
from keras import layers

from script_tools import same_start

keras.utils.set_random_seed(9)
rng = np.random.default_rng(9)
images = rng.integers(0, 256, (256, 6, 6)).astype("float32") / 255.0

encoder = keras.Sequential(
    [keras.Input((6, 6)), layers.Flatten(), layers.Dense(20, activation="relu"), layers.Dense(8)],
    name="encoder",
)
decoder = keras.Sequential(
    [keras.Input((8,)), layers.Dense(20, "relu"), layers.Dense(36, "sigmoid"), layers.Reshape((6, 6))],
    name="decoder",
)
inputs = keras.Input((6, 6), name="image")
model = keras.Model(inputs, decoder(encoder(inputs)), name="autoencoder")
same_start(model)
model.summary(expand_nested=True)
model.compile(optimizer="adam", loss="binary_crossentropy")
history = model.fit(
    images, images, epochs=3, batch_size=32, shuffle=False, validation_data=(images[:64], images[:64])
)
codes = encoder.predict(images[:10])
print(codes.shape, decoder.predict(codes).shape)
