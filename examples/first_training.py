"""A first training run, written as for TensorFlow's Keras: only the import was changed.

A network of 784-128-64-10 learns 1,000 random images and random labels by heart. There is nothing to
generalise, so training accuracy goes to 100 % and validation accuracy stays at chance, about 10 %.
"""

import numpy as np

import lumbre as tf

np.random.seed(0)
tf.keras.utils.set_random_seed(0)

x_train = np.random.random((1000, 784)).astype("float32")
y_train = tf.keras.utils.to_categorical(np.random.randint(0, 10, 1000), num_classes=10)

model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(128, activation="relu", input_shape=(784,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=tf.keras.optimizers.Adam(learning_rate=0.001),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(x_train, y_train, epochs=50, batch_size=32, validation_split=0.2, verbose=1)
