"""Frozen layers under a new head; then all of them trained, slowly."""

import keras

from script_tools import blobs, same_start

keras.utils.set_random_seed(23)
x, y = blobs(240)
base = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.LayerNormalization()], name="base"
)
base.trainable = False
inputs = keras.Input((8,))
outputs = keras.layers.Dense(3, name="head")(base(inputs, training=False))
model = keras.Model(inputs, outputs)
same_start(model)
model.summary(show_trainable=True)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
before = base.get_weights()[0].copy()
first = model.fit(x, y, epochs=2, verbose=2)
print("frozen kept:", (before == base.get_weights()[0]).all(), len(model.trainable_weights))
base.trainable = True
model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
second = model.fit(x, y, epochs=2, verbose=2)
print("frozen kept:", (before == base.get_weights()[0]).all(), len(model.trainable_weights))
