"""Two networks against each other, batch by batch: the one is frozen while the other learns."""

import keras
import numpy as np
from keras import layers

from script_tools import same_start

keras.utils.set_random_seed(0)
real = np.random.default_rng(0).normal(2, 0.5, (256, 2)).astype("float32")
generator = keras.Sequential([keras.Input((4,)), layers.Dense(16, "tanh"), layers.Dense(2)], name="generator")
critic = keras.Sequential(
    [keras.Input((2,)), layers.Dense(16), layers.LeakyReLU(negative_slope=0.2), layers.Dense(1)],
    name="critic",
)
same_start(generator)
same_start(critic, 1)
loss = keras.losses.BinaryCrossentropy(from_logits=True)
critic.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), loss, metrics=["accuracy"])
critic.trainable = False
noise = keras.Input((4,))
stacked = keras.Model(noise, critic(generator(noise)))
stacked.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), loss)
stacked.summary()

rng = np.random.default_rng(5)
losses = []
for step in range(8):
    z = rng.normal(size=(32, 4)).astype("float32")
    x = np.concatenate([real[step * 32 : step * 32 + 32], generator.predict(z, verbose=0)])
    critic.trainable = True
    told = critic.train_on_batch(x, np.repeat([[1.0], [0.0]], 32, axis=0))
    critic.trainable = False
    kept = critic.get_weights()
    fooled = stacked.train_on_batch(z, np.ones((32, 1)))
    assert all((a == b).all() for a, b in zip(kept, critic.get_weights(), strict=True))
    losses.append([float(told[0]), float(fooled)])
    print(f"{step}: critic {told[0]:.4f} ({told[1]:.2f}), generator {fooled:.4f}")
