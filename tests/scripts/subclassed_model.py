"""A model as a class: layers in __init__, what they do in call."""

import keras

from script_tools import blobs, same_start


class Classifier(keras.Model):
    def __init__(self, units, classes, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [keras.layers.Dense(n, activation="relu") for n in units]
        self.norm = keras.layers.LayerNormalization()
        self.head = keras.layers.Dense(classes)

    def call(self, inputs, training=False):
        x = inputs
        for layer in self.hidden:
            x = layer(x)
        return self.head(self.norm(x))


keras.utils.set_random_seed(10)
x, y = blobs(256)
model = Classifier([16, 16], 3, name="classifier")
model(x[:1])
same_start(model)
model.compile(
    optimizer=keras.optimizers.Adam(0.003),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
history = model.fit(x, y, epochs=3, batch_size=32, validation_data=(x[:50], y[:50]))
model.summary()
print(len(model.trainable_weights), [layer.name for layer in model.layers][-1:])
