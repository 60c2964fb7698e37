"""A callback of one's own with every hook, that stops training when it is good enough."""

import keras

from script_tools import blobs, same_start


class Watch(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        print("train begins:", sorted(logs or {}), self.params["epochs"], self.params["steps"])

    def on_epoch_begin(self, epoch, logs=None):
        print("epoch", epoch, "begins")

    def on_train_batch_end(self, batch, logs=None):
        if batch % 4 == 0:
            print(f"batch {batch}: loss {logs['loss']:.3f}")

    def on_test_end(self, logs=None):
        print("tested:", sorted(logs))

    def on_epoch_end(self, epoch, logs=None):
        if logs["accuracy"] > 0.9:
            print("good enough")
            self.model.stop_training = True


keras.utils.set_random_seed(21)
x, y = blobs(256)
model = keras.Sequential(
    [keras.Input((8,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(3, "softmax")]
)
same_start(model)
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=10, batch_size=32, verbose=0, validation_split=0.25, callbacks=[Watch()])
print("epochs:", history.epoch)
