"""A table with columns of several types: select, scale, train."""

import keras
import numpy as np
import pandas as pd

from script_tools import same_start

keras.utils.set_random_seed(17)
rng = np.random.default_rng(17)
frame = pd.DataFrame(
    {
        "age": rng.integers(18, 90, 300),
        "income": rng.normal(3000, 500, 300),
        "member": rng.integers(0, 2, 300).astype(bool),
        "visits": rng.integers(0, 9, 300).astype("int16"),
    }
)
frame["bought"] = ((frame.age / 90 + frame.visits / 9 + rng.normal(0, 0.2, 300)) > 1).astype(int)
train = frame.sample(frac=0.8, random_state=0)
test = frame.drop(train.index)
features = ["age", "income", "member", "visits"]
mean, std = train[features].astype(float).mean(), train[features].astype(float).std()
train_x, test_x = ((part[features].astype(float) - mean) / std for part in (train, test))
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
same_start(model)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(
    train_x, train["bought"], epochs=4, batch_size=16, validation_data=(test_x, test["bought"])
)
print(pd.DataFrame(history.history).shape, model.predict(test_x, verbose=0).shape)
