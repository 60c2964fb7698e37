"""Keras's guide on customizing `fit`: the behaviour that it shows, beside the real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from guide_models import (
    assert_captured,
    assert_same_weights,
    batches,
    keras_gradients,
    keras_step,
    pair,
    share,
)
from keras_reference import keras
from lumbre import ops
from lumbre.autograd import Tensor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((96, 8)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] + 0.5 * X[:, 2:3]).astype("float32")
WEIGHT = RNG.uniform(0.5, 1.5, 96).astype("float32")
FIT: dict[str, Any] = {"batch_size": 32, "epochs": 4, "shuffle": False, "verbose": 0}


def network(k: Any, kind: Any = None) -> Any:
    inputs = k.Input((8,))
    h = k.layers.Dense(16, activation="tanh")(inputs)
    return (kind or k.Model)(inputs, k.layers.Dense(1)(h))


def own(kind: type[lumbre.Model]) -> tuple[lumbre.Model, Any]:
    """A model of this class, and one of Keras with the same layers and weights."""
    return pair(lambda k: network(k, kind if k is lumbre else None))


# -------------------- the first example, in four ways


class WithTape(lumbre.Model):
    def gradients(self, x: Tensor, y: Tensor, weight: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
        with lumbre.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        return y_pred, loss, tape.gradient(loss, self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, weight = lumbre.utils.unpack_x_y_sample_weight(data)
        y_pred, loss, gradients = self.gradients(x, y, weight)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=x.shape[0])
            else:
                metric.update_state(y, y_pred, sample_weight=weight)
        return {m.name: m.result() for m in self.metrics}


class WithGrad(WithTape):
    def gradients(self, x: Tensor, y: Tensor, weight: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
        y_pred = self(x, training=True)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        return y_pred, loss, lumbre.grad(loss, self.trainable_variables)


class WithBackward(WithTape):
    """As on PyTorch."""

    def gradients(self, x: Tensor, y: Tensor, weight: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight)
        loss.backward()
        return y_pred, loss, [v.value.grad for v in self.trainable_weights]


class InBatches(WithTape):
    """Half of the batch after the other, the gradients added up."""

    def gradients(self, x: Tensor, y: Tensor, weight: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
        half = x.shape[0] // 2
        parts = [
            super(InBatches, self).gradients(x[s], y[s], None if weight is None else weight[s])
            for s in (slice(half), slice(half, None))
        ]
        gradients = [(a + b) / 2.0 for a, b in zip(parts[0][2], parts[1][2], strict=True)]
        y_pred = ops.concatenate([parts[0][0], parts[1][0]])
        return y_pred, (parts[0][1] + parts[1][1]) / 2.0, gradients


@pytest.mark.parametrize("kind", [WithTape, WithGrad, WithBackward, InBatches])
@pytest.mark.parametrize("weights", ["none", "sample", "class"])
def test_a_train_step_that_does_what_fit_does(kind: type[WithTape], weights: str) -> None:
    """The same `History` as Keras's own `fit`, from a captured step."""
    ours, theirs = own(kind)
    y = Y if weights != "class" else (Y > 0).astype("float32")
    given: dict[str, Any] = {}
    if weights == "sample":
        given["sample_weight"] = WEIGHT
    elif weights == "class":
        given["class_weight"] = {0: 0.3, 1: 2.0}
    for k, model in ((lumbre, ours), (keras, theirs)):
        model.compile(k.optimizers.Adam(0.01), "mse", weighted_metrics=["mae"])
    a = ours.fit(X, y, **given, **FIT).history
    b = theirs.fit(X, y, **given, **FIT).history
    assert set(a) == set(b) == {"loss", "mae"}
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4)
    assert_same_weights(ours, theirs)
    assert_captured(ours)


def test_validation_and_evaluation_beside_a_train_step() -> None:
    ours, theirs = own(WithTape)
    for model in (ours, theirs):
        model.compile("sgd", "mse", metrics=["mae"])
    a, b = (m.fit(X, Y, validation_split=0.25, **FIT).history for m in (ours, theirs))
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), rtol=1e-4)


# -------------------- own metrics, own test step


class OwnMetrics(lumbre.Model):
    """Lower level: no loss and no metrics in `compile`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss_tracker = lumbre.metrics.Mean(name="loss")
        self.mae_metric = lumbre.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = lumbre.losses.MeanSquaredError()

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with lumbre.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        y_pred = self(x, training=False)
        self.loss_tracker.update_state(self.loss_fn(y, y_pred))
        self.mae_metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker, self.mae_metric]


def test_own_metrics_are_reset_at_each_epoch() -> None:
    ours, theirs = own(OwnMetrics)
    ours.compile(lumbre.optimizers.Adam(0.01))
    theirs.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    a, b = (m.fit(X, Y, validation_data=(X[:32], Y[:32]), **FIT).history for m in (ours, theirs))
    assert set(a) == set(b) == {"loss", "mae", "val_loss", "val_mae"}
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4)
    assert_captured(ours)
    assert_captured(ours, "test")
    ours.evaluate(X, Y, verbose=0)
    assert ours.loss_tracker.result().item() == pytest.approx(theirs.evaluate(X, Y, verbose=0)[0], rel=1e-4)


class OnlyTest(lumbre.Model):
    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def test_own_evaluation_step() -> None:
    ours, theirs = own(OnlyTest)
    for model in (ours, theirs):
        model.compile(loss="mse", metrics=["mae"])
    a = ours.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    b = theirs.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert set(a) == set(b)
    for name in a:
        assert a[name] == pytest.approx(b[name], rel=1e-5)
    assert_captured(ours, "test")


# -------------------- GAN


class GAN(lumbre.Model):
    """Two networks, two optimizers, two metrics."""

    def __init__(self, discriminator: Any, generator: Any, latent_dim: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.d_loss_tracker = lumbre.metrics.Mean(name="d_loss")
        self.g_loss_tracker = lumbre.metrics.Mean(name="g_loss")
        self.seed_generator = lumbre.random.SeedGenerator(1337)
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer: Any, g_optimizer: Any, loss_fn: Any) -> None:
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def train_step(self, real: Any) -> dict[str, Any]:
        if isinstance(real, tuple):
            real = real[0]
        n = real.shape[0]
        latent = lumbre.random.normal((n, self.latent_dim), seed=self.seed_generator)
        combined = ops.concatenate([self.generator(latent), real], axis=0)
        labels = ops.concatenate([ops.ones((n, 1)), ops.zeros((n, 1))], axis=0)
        labels += 0.05 * lumbre.random.uniform((2 * n, 1), seed=self.seed_generator)
        with lumbre.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(combined))
        weights = self.discriminator.trainable_weights
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))

        latent = lumbre.random.normal((n, self.latent_dim), seed=self.seed_generator)
        misleading = ops.zeros((n, 1))
        with lumbre.GradientTape() as tape:
            g_loss = self.loss_fn(misleading, self.discriminator(self.generator(latent)))
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))

        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


def discriminator(k: Any) -> Any:
    return k.Sequential(
        [k.Input((2,)), k.layers.Dense(32), k.layers.LeakyReLU(negative_slope=0.2), k.layers.Dense(1)]
    )


def generator(k: Any) -> Any:
    return k.Sequential([k.Input((4,)), k.layers.Dense(32, activation="tanh"), k.layers.Dense(2)])


def ring(n: int) -> np.ndarray:
    """Points on the unit circle, with a little noise."""
    angle = RNG.uniform(0, 2 * np.pi, n)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * RNG.standard_normal((n, 2))
    return points.astype("float32")


def make_gan(seed: int = 3) -> GAN:
    lumbre.utils.set_random_seed(seed)
    gan = GAN(discriminator(lumbre), generator(lumbre), 4)
    gan.compile(
        d_optimizer=lumbre.optimizers.Adam(0.003),
        g_optimizer=lumbre.optimizers.Adam(0.003),
        loss_fn=lumbre.losses.BinaryCrossentropy(from_logits=True),
    )
    return gan


def test_a_gan_moves_to_the_data() -> None:
    center = np.array([2.0, -1.0], "float32")
    gan, real = make_gan(), 0.3 * ring(512) + center
    latent = np.random.default_rng(1).standard_normal((256, 4)).astype("float32")

    def distance() -> float:
        return float(np.linalg.norm(gan.generator.predict(latent, verbose=0).mean(0) - center))

    before = distance()
    history = gan.fit(real, epochs=60, batch_size=64, verbose=0).history
    assert list(history) == ["d_loss", "g_loss"]
    assert np.isfinite(history["d_loss"] + history["g_loss"]).all()
    assert distance() < 0.25 * before
    assert int(gan.d_optimizer.iterations.numpy()) == int(gan.g_optimizer.iterations.numpy()) == 480
    assert_captured(gan)


def test_a_replayed_gan_is_an_eager_one() -> None:
    real = ring(320)
    gans = [make_gan(), make_gan()]
    gans[0].run_eagerly = True
    histories = [g.fit(real, epochs=3, batch_size=64, shuffle=False, verbose=0).history for g in gans]
    assert histories[0] == histories[1]
    for a, b in zip(gans[0].get_weights(), gans[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class GivenNoise(GAN):
    """The noise comes with the data, so that another library can be given the same."""

    def train_step(self, data: Any) -> dict[str, Any]:
        real, noise = data
        n = real.shape[0]
        labels = ops.concatenate([ops.ones((n, 1)), ops.zeros((n, 1))], axis=0)
        with lumbre.GradientTape() as g_tape, lumbre.GradientTape() as d_tape:
            fake = self.generator(noise, training=True)
            d_loss = self.loss_fn(labels, self.discriminator(ops.concatenate([fake, real]), training=True))
            g_loss = self.loss_fn(ops.zeros((n, 1)), self.discriminator(fake, training=True))
        d_weights, g_weights = self.discriminator.trainable_variables, self.generator.trainable_variables
        d_gradients, g_gradients = d_tape.gradient(d_loss, d_weights), g_tape.gradient(g_loss, g_weights)
        self.d_optimizer.apply_gradients(zip(d_gradients, d_weights, strict=True))
        self.g_optimizer.apply_gradients(zip(g_gradients, g_weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def test_gan_losses_are_those_of_keras() -> None:
    """Both tapes at once, as in TensorFlow's tutorial; sixteen steps."""
    real, noise = ring(64), RNG.standard_normal((64, 4)).astype("float32")
    gan = GivenNoise(discriminator(lumbre), generator(lumbre), 4)
    d, g = discriminator(keras), generator(keras)
    share([gan.discriminator, gan.generator], [d, g])
    gan.compile(
        lumbre.optimizers.Adam(0.002),
        lumbre.optimizers.Adam(0.002),
        lumbre.losses.BinaryCrossentropy(from_logits=True),
    )
    d_optimizer, g_optimizer = keras.optimizers.Adam(0.002), keras.optimizers.Adam(0.002)
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    for _ in range(4):
        for s in batches(64, 16):
            logs = gan.train_on_batch(real[s], noise[s], return_dict=True)
            labels = np.concatenate([np.ones((16, 1)), np.zeros((16, 1))]).astype("float32")

            def d_loss(d: Any, g: Any, s: slice = s, labels: Any = labels) -> Any:
                return bce(labels, d(keras.ops.concatenate([g(noise[s]), real[s]])))

            def g_loss(d: Any, g: Any, s: slice = s) -> Any:
                return bce(np.zeros((16, 1), "float32"), d(g(noise[s])))

            expected_d, d_gradients = keras_gradients(d_loss, [d, g], [d])
            expected_g, g_gradients = keras_gradients(g_loss, [d, g], [g])
            d_optimizer.apply(d_gradients, d.trainable_variables)
            g_optimizer.apply(g_gradients, g.trainable_variables)
            assert logs["d_loss"] == pytest.approx(float(expected_d), rel=1e-4)
            assert logs["g_loss"] == pytest.approx(float(expected_g), rel=1e-4)
    assert_same_weights(gan.discriminator, d)
    assert_same_weights(gan.generator, g)
    assert_captured(gan)


# -------------------- gradient penalty


class WGAN(lumbre.Model):
    """A critic whose gradient at points between real and made ones has length 1 (Gulrajani et al., 2017)."""

    def __init__(self, critic: Any, generator: Any) -> None:
        super().__init__()
        self.critic = critic
        self.generator = generator
        self.built = True

    def compile(
        self, d_optimizer: Any, g_optimizer: Any, critic_steps: int = 2, weight: float = 10.0
    ) -> None:
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.critic_steps = critic_steps
        self.penalty_weight = 10.0

    def penalty(self, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
        between = real + share * (fake - real)
        with lumbre.GradientTape() as tape:
            tape.watch(between)
            score = self.critic(between, training=True)
        gradient = tape.gradient(score, [between])[0]
        norm = ops.sqrt(ops.sum(ops.square(gradient), axis=1))
        return ops.mean((norm - 1.0) ** 2)

    def train_step(self, data: Any) -> dict[str, Any]:
        real, noise, share = (data[name] for name in ("real", "noise", "share"))
        for _ in range(self.critic_steps):
            with lumbre.GradientTape() as tape:
                fake = self.generator(noise, training=True)
                cost = ops.mean(self.critic(fake)) - ops.mean(self.critic(real))
                d_loss = cost + self.penalty(real, fake, share) * self.penalty_weight
            weights = self.critic.trainable_variables
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with lumbre.GradientTape() as tape:
            g_loss = -ops.mean(self.critic(self.generator(noise, training=True), training=True))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def critic(k: Any) -> Any:
    return k.Sequential([k.Input((2,)), k.layers.Dense(16, activation="tanh"), k.layers.Dense(1)])


def test_wgan_gp_losses_are_those_of_keras() -> None:
    from keras_reference import jax

    data = {
        "real": ring(48),
        "noise": RNG.standard_normal((48, 4)).astype("float32"),
        "share": RNG.uniform(0, 1, (48, 1)).astype("float32"),
    }
    model = WGAN(critic(lumbre), generator(lumbre))
    c, g = critic(keras), generator(keras)
    share([model.critic, model.generator], [c, g])
    model.compile(lumbre.optimizers.Adam(0.002), lumbre.optimizers.Adam(0.002))
    c_optimizer, g_optimizer = keras.optimizers.Adam(0.002), keras.optimizers.Adam(0.002)
    for _ in range(4):
        for s in batches(48, 16):
            real, noise, part = (data[name][s] for name in ("real", "noise", "share"))
            logs = model.train_on_batch({name: value[s] for name, value in data.items()}, return_dict=True)

            def c_loss(c: Any, g: Any, real: Any = real, noise: Any = noise, part: Any = part) -> Any:
                fake = g(noise)
                slope = jax.grad(lambda x: c(x).sum())(real + part * (fake - real))
                norm = keras.ops.sqrt(keras.ops.sum(slope**2, axis=1))
                return c(fake).mean() - c(real).mean() + 10.0 * ((norm - 1.0) ** 2).mean()

            for _ in range(2):
                expected_c = keras_step(c_loss, [c, g], c, c_optimizer)
            expected_g = keras_step(lambda c, g, noise=noise: -c(g(noise)).mean(), [c, g], g, g_optimizer)
            assert logs["d_loss"] == pytest.approx(expected_c, rel=2e-4, abs=1e-5)
            assert logs["g_loss"] == pytest.approx(expected_g, rel=2e-4, abs=1e-5)
    assert_same_weights(model.critic, c)
    assert_captured(model)
