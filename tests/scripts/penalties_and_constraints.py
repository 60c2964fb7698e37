"""L1 and L2 penalties, weights of bounded norm, initial values by name."""

import keras
from keras import constraints, layers, regularizers

from script_tools import plane, same_start

keras.utils.set_random_seed(28)
x, y = plane(200)
model = keras.Sequential(
    [
        keras.Input((8,)),
        layers.Dense(
            16, "relu", kernel_regularizer=regularizers.l2(1e-3), kernel_constraint=constraints.MaxNorm(2)
        ),
        layers.Dense(8, "relu", kernel_regularizer=regularizers.L1L2(1e-4, 1e-4), bias_initializer="ones"),
        layers.Dense(1, activity_regularizer=regularizers.L2(1e-3), kernel_constraint="non_neg"),
    ]
)
same_start(model)
model.compile("adam", "mse")
history = model.fit(x, y, epochs=3, batch_size=50)
print(model.evaluate(x, y, verbose=2) > 0)
