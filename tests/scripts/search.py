"""A small search: the same network with several settings, the session cleared before each."""

import keras

from script_tools import blobs, same_start

x, y = blobs(200)
histories, best = [], {}
for units in (4, 16):
    for optimizer in ("sgd", "adagrad", "adadelta"):
        keras.backend.clear_session()
        keras.utils.set_random_seed(30)
        model = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(3, "softmax")]
        )
        same_start(model)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["acc"])
        histories.append(model.fit(x[:150], y[:150], epochs=2, verbose=0, validation_data=(x[150:], y[150:])))
        best[units, optimizer] = round(histories[-1].history["val_loss"][-1], 3)
        print(model.name, [layer.name for layer in model.layers], units, optimizer)
print(sorted(best, key=best.get)[0])
