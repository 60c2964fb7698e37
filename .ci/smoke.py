"""What an installed wheel must be able to do: train, in an environment with NumPy alone."""

from importlib.metadata import distributions

import lumbre as keras

installed = {d.name for d in distributions()} - {"pip", "setuptools"}
assert installed == {"lumbre", "numpy"}, installed

keras.utils.set_random_seed(0)
(x, y), (x_test, y_test) = keras.datasets.digits.load_data()
model = keras.Sequential(
    [
        keras.Input((8, 8)),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x / 16, y, epochs=10, verbose=0)
accuracy = model.evaluate(x_test / 16, y_test, verbose=0)[1]
assert accuracy > 0.9, accuracy
print(accuracy)
