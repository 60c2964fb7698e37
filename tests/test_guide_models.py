"""Keras's guides on subclassing and on the functional API: what they show, beside the real Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lumbre
from guide_models import Counted, assert_captured, assert_same_weights, batches, pair
from keras_reference import keras
from lumbre import ops
from lumbre.autograd import Tensor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((128, 12)).astype("float32")
Y = np.tanh(X[:, :3] @ RNG.standard_normal((3, 2))).astype("float32")
FIT: dict[str, Any] = {"batch_size": 32, "epochs": 4, "shuffle": False, "verbose": 0}


def assert_same_training(ours: Any, theirs: Any, *data: Any, **compile: Any) -> dict[str, list[float]]:
    """Both are trained, with the same `History` and weights, ours by recorded steps."""
    for k, model in ((lumbre, ours), (keras, theirs)):
        model.compile(optimizer=k.optimizers.Adam(0.01), **compile)
    a, b = (m.fit(*data, **FIT).history for m in (ours, theirs))
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6)
    assert_same_weights(ours, theirs)
    assert_captured(ours)
    return dict(a)


# -------------------- layers


def linear(k: Any) -> Any:
    """A class of layers of this library: weights are made when the input is seen."""

    class Linear(k.layers.Layer):
        def __init__(self, units: int = 32, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

        def call(self, inputs: Any) -> Any:
            return k.ops.matmul(inputs, self.w) + self.b

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    return Linear


def penalized(k: Any) -> Any:
    """A layer that adds a loss in `call`, and passes its input on."""

    class Penalized(k.layers.Layer):
        def __init__(self, rate: float = 1e-2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.rate = rate

        def call(self, inputs: Any) -> Any:
            self.add_loss(self.rate * k.ops.mean(k.ops.square(inputs)))
            return inputs

    return Penalized


def test_a_layer_is_state_and_computation() -> None:
    for k in (lumbre, keras):
        layer = linear(k)(4)
        assert layer.weights == []
        y = layer(k.ops.ones((2, 3)))
        assert tuple(y.shape) == (2, 4)
        assert len(layer.weights) == 2 and layer.weights == [layer.w, layer.b]
        again = type(layer).from_config(layer.get_config())
        assert again.units == 4 and again.name == layer.name


def test_weights_that_are_not_trained() -> None:
    class ComputeSum(lumbre.layers.Layer):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(size,), trainable=False)

        def call(self, inputs: Any) -> Any:
            self.total.assign_add(ops.sum(inputs, axis=0))
            return self.total * 1.0

    layer = ComputeSum(2)
    run = lumbre.capture(layer)
    for times in range(1, 6):
        np.testing.assert_array_equal(run(np.ones((2, 2), "float32")), [2.0 * times] * 2)
    assert layer.trainable_weights == [] and layer.non_trainable_weights == [layer.total]
    assert [w.shape for w in layer.weights] == [(2,)]


def test_layers_within_layers() -> None:
    def block(k: Any) -> Any:
        kind = linear(k)

        class Block(k.layers.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.parts = [kind(16), kind(16)]
                self.last = kind(2)

            def call(self, inputs: Any) -> Any:
                x = inputs
                for part in self.parts:
                    x = k.ops.relu(part(x))
                return self.last(x)

        return Block()

    layer = block(lumbre)
    layer(ops.ones((3, 12)))
    assert len(layer.weights) == len(layer.trainable_weights) == 6

    def model(k: Any) -> Any:
        inputs = k.Input((12,))
        return k.Model(inputs, block(k)(inputs))

    assert_same_training(*pair(model), X, Y, loss="mse")


def test_losses_of_a_call() -> None:
    for k in (lumbre, keras):

        class Outer(k.layers.Layer):
            def __init__(self, k: Any = k) -> None:
                super().__init__()
                self.inner = penalized(k)(1.0)
                self.dense = k.layers.Dense(
                    3, kernel_regularizer=k.regularizers.L2(0.5), bias_initializer="ones"
                )

            def call(self, inputs: Any) -> Any:
                return self.dense(self.inner(inputs))

        layer = Outer()
        assert len(layer.losses) == 0
        layer(2 * k.ops.ones((2, 4)))
        layer(3 * k.ops.ones((2, 4)))  # those of the call before are gone
        kernel = np.asarray(layer.dense.kernel)
        values = sorted(float(loss) for loss in layer.losses)
        np.testing.assert_allclose(values, sorted([9.0, 0.5 * np.sum(kernel**2)]), rtol=1e-5)


def test_added_losses_are_trained_on() -> None:
    def model(k: Any) -> Any:
        inputs = k.Input((12,))
        h = penalized(k)(0.1)(k.layers.Dense(8, activation="tanh", activity_regularizer="l1")(inputs))
        return k.Model(inputs, k.layers.Dense(2, kernel_regularizer="l2")(h))

    history = assert_same_training(*pair(model), X, Y, loss="mse", metrics=["mse"])
    assert history["loss"][0] > history["mse"][0]


def test_added_losses_alone() -> None:
    """Without a loss in `compile`, they are all there is."""

    def model(k: Any) -> Any:
        inputs = k.Input((12,))
        h = k.layers.Dense(8, activation="tanh")(inputs)
        return k.Model(inputs, penalized(k)(1.0)(k.layers.Dense(2)(h)))

    history = assert_same_training(*pair(model), X, loss=None)
    assert list(history) == ["loss"] and history["loss"][-1] < history["loss"][0]


def test_training_is_an_argument_of_call() -> None:
    class Halves(lumbre.layers.Layer):
        def call(self, inputs: Any, training: bool = False) -> Any:
            return inputs * 0.5 if training else inputs

    inputs = lumbre.Input((3,))
    model = lumbre.Model(inputs, Halves()(inputs))
    x = np.ones((2, 3), "float32")
    assert model(x).numpy()[0, 0] == model.predict(x, verbose=0)[0, 0] == 1.0
    assert model(x, training=True).numpy()[0, 0] == 0.5


# -------------------- models


def subclassed(k: Any) -> Any:
    class Network(k.Model):
        def __init__(self, units: int = 16) -> None:
            super().__init__()
            self.first = k.layers.Dense(units, activation="tanh")
            self.norm = k.layers.LayerNormalization()
            self.branches = [k.layers.Dense(units, activation="tanh") for _ in range(2)]
            self.last = k.layers.Dense(2)

        def call(self, inputs: Any, training: bool = False) -> Any:
            x = self.norm(self.first(inputs))
            for branch in self.branches:
                x = x + branch(x)
            return self.last(x)

    model = Network()
    model(k.ops.zeros((1, 12)))
    return model


def test_a_subclassed_model_trains_like_keras() -> None:
    ours, theirs = pair(subclassed)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert_same_training(ours, theirs, X, Y, loss="mse", metrics=["mae"])
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-4, atol=1e-5)


def test_a_subclassed_model_in_a_loop_of_ones_own() -> None:
    ours, theirs = pair(subclassed)
    optimizer, loss_fn = lumbre.optimizers.Adam(0.01), lumbre.losses.MeanSquaredError()

    def train(x: Tensor, y: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            loss = loss_fn(y, ours(x, training=True))
        optimizer.apply(tape.gradient(loss, ours.trainable_weights), ours.trainable_weights)
        return loss

    step = Counted(train)
    losses = [np.mean([float(step(X[s], Y[s])) for s in batches(128, 32)]) for _ in range(4)]
    theirs.compile(keras.optimizers.Adam(0.01), "mse")
    np.testing.assert_allclose(losses, theirs.fit(X, Y, **FIT).history["loss"], rtol=1e-4)
    assert step.runs <= 3


# -------------------- a variational autoencoder


class Sampling(lumbre.layers.Layer):
    """z = mean + exp(log_var / 2) · ε, with its own stream of random numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = lumbre.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_var = inputs
        epsilon = lumbre.random.normal(shape=mean.shape, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * epsilon


class VAE(lumbre.Model):
    """Encoder, sampling and decoder; the KL divergence is added in `call`."""

    def __init__(self, latent: int = 3) -> None:
        super().__init__()
        dense = lumbre.layers.Dense
        self.project = dense(16, activation="relu")
        self.mean, self.log_var, self.sampling = dense(latent), dense(latent), Sampling()
        self.decoder = lumbre.Sequential([dense(16, activation="relu"), dense(12)])

    def call(self, inputs: Any) -> Any:
        h = self.project(inputs)
        mean, log_var = self.mean(h), self.log_var(h)
        z = self.sampling((mean, log_var))
        self.add_loss(-0.5 * ops.mean(log_var - ops.square(mean) - ops.exp(log_var) + 1))
        return self.decoder(z)


def test_a_vae_by_fit_and_by_hand() -> None:
    """Three ways that leave the same bits: eager, `fit`, a captured loop."""
    models, losses = [], []
    for way in ("eager", "fit", "loop"):
        lumbre.utils.set_random_seed(2)
        model = VAE()
        model(X[:1])
        optimizer = lumbre.optimizers.Adam(0.01)
        if way == "loop":
            losses.append(vae_loop(model, optimizer))
        else:
            model.compile(optimizer, "mse", run_eagerly=way == "eager")
            losses.append(model.fit(X, X, **FIT).history["loss"])
        models.append(model)
        if way == "fit":
            assert_captured(model)
    np.testing.assert_allclose(losses[1], losses[0], rtol=0)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]
    for other in models[1:]:
        for a, b in zip(models[0].get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def vae_loop(model: VAE, optimizer: Any) -> list[float]:
    loss_fn, mean_loss = lumbre.losses.MeanSquaredError(), lumbre.metrics.Mean()

    def train(x: Tensor) -> None:
        with lumbre.GradientTape() as tape:
            loss = loss_fn(x, model(x, training=True))
            loss += sum(model.losses)
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        mean_loss.update_state(loss)

    step, losses = Counted(train), []
    for _ in range(4):
        for s in batches(128, 32):
            step(X[s])
        losses.append(float(mean_loss.result()))
        mean_loss.reset_state()
    assert step.runs <= 3
    return losses


class TrackedVAE(lumbre.Model):
    """The example's own form: `train_step` with three trackers."""

    def __init__(self, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        names = ("total_loss", "reconstruction_loss", "kl_loss")
        self.trackers = [lumbre.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self) -> list[Any]:
        return list(self.trackers)

    def train_step(self, data: Any) -> dict[str, Any]:
        with lumbre.GradientTape() as tape:
            mean, log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            error = ops.mean(ops.sum(lumbre.losses.binary_crossentropy(data, reconstruction), axis=1))
            kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
            kl = ops.mean(ops.sum(kl, axis=1))
            total = error + kl
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        for tracker, value in zip(self.trackers, (total, error, kl), strict=True):
            tracker.update_state(value)
        return {m.name: m.result() for m in self.trackers}


def test_a_vae_with_a_train_step() -> None:
    layers = lumbre.layers
    lumbre.utils.set_random_seed(0)
    inputs = lumbre.Input((4, 3))
    h = layers.Dense(16, activation="relu")(layers.Flatten()(inputs))
    mean, log_var = layers.Dense(2, name="z_mean")(h), layers.Dense(2, name="z_log_var")(h)
    encoder = lumbre.Model(inputs, [mean, log_var, Sampling()([mean, log_var])], name="encoder")
    latent = lumbre.Input((2,))
    decoded = layers.Reshape((4, 3))(layers.Dense(12, activation="sigmoid")(layers.Dense(16, "relu")(latent)))
    model = TrackedVAE(encoder, lumbre.Model(latent, decoded, name="decoder"))
    model.compile(optimizer=lumbre.optimizers.Adam(0.01))
    pixels = (X.reshape(-1, 4, 3) > 0).astype("float32")
    history = model.fit(pixels, epochs=10, batch_size=32, verbose=0).history
    assert list(history) == ["kl_loss", "reconstruction_loss", "total_loss"]  # sorted, as in Keras
    total = np.add(history["reconstruction_loss"], history["kl_loss"])
    np.testing.assert_allclose(history["total_loss"], total, rtol=1e-5)
    assert history["total_loss"][-1] < history["total_loss"][0]
    assert_captured(model)


def test_vae_losses_are_those_of_keras() -> None:
    """The noise is an input, so that both draw the same."""

    def sampler(k: Any) -> Any:
        class GivenNoise(k.layers.Layer):
            def call(self, inputs: Any) -> Any:
                mean, log_var, epsilon = inputs
                divergence = 1 + log_var - k.ops.square(mean) - k.ops.exp(log_var)
                self.add_loss(-0.5 * k.ops.mean(divergence))
                return mean + k.ops.exp(0.5 * log_var) * epsilon

        return GivenNoise()

    def vae(k: Any) -> Any:
        inputs, epsilon = k.Input((12,)), k.Input((3,))
        h = k.layers.Dense(16, activation="tanh")(inputs)
        z = sampler(k)([k.layers.Dense(3)(h), k.layers.Dense(3)(h), epsilon])
        return k.Model([inputs, epsilon], k.layers.Dense(12)(k.layers.Dense(16, activation="tanh")(z)))

    noise = RNG.standard_normal((128, 3)).astype("float32")
    assert_same_training(*pair(vae), [X, noise], X, loss="mse")


# -------------------- the functional API


def test_two_inputs_two_outputs() -> None:
    """Losses and weights by the outputs' names."""

    def model(k: Any) -> Any:
        title, body = k.Input((6,), name="title"), k.Input((6,), name="body")
        tags = k.Input((3,), name="tags")
        x = k.layers.concatenate(
            [k.layers.Dense(8, activation="tanh")(title), k.layers.Dense(8, activation="tanh")(body), tags]
        )
        priority = k.layers.Dense(1, name="priority")(x)
        department = k.layers.Dense(4, name="department")(x)
        return k.Model(inputs=[title, body, tags], outputs={"priority": priority, "department": department})

    data = {"title": X[:, :6], "body": X[:, 6:], "tags": (X[:, :3] > 0).astype("float32")}
    targets = {"priority": (X[:, :1] > 0).astype("float32"), "department": np.abs(X[:, :4]).argmax(-1)}
    results = []
    for k, m in zip((lumbre, keras), pair(model), strict=True):
        m.compile(
            optimizer=k.optimizers.RMSprop(1e-2),
            loss={
                "priority": k.losses.BinaryCrossentropy(from_logits=True),
                "department": k.losses.SparseCategoricalCrossentropy(from_logits=True),
            },
            loss_weights={"priority": 1.0, "department": 0.2},
        )
        results.append(m.fit(data, targets, **FIT).history)
        if k is lumbre:
            assert_captured(m)
    assert set(results[0]) == set(results[1])
    for name in results[0]:
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-4)


def test_residual_connections_and_shared_layers() -> None:
    def model(k: Any) -> Any:
        inputs, other = k.Input((12,)), k.Input((12,))
        shared = k.layers.Dense(16, activation="tanh")
        a, b = shared(inputs), shared(other)
        for _ in range(2):
            h = k.layers.Dense(16, activation="tanh")(a)
            a = k.layers.add([k.layers.Dense(16)(h), a])
        return k.Model([inputs, other], k.layers.Dense(2)(k.layers.multiply([a, b])))

    ours, theirs = pair(model)
    assert len(ours.weights) == len(theirs.weights) == 12
    assert_same_training(ours, theirs, [X, X[::-1].copy()], Y, loss="mse")


def test_models_are_layers_and_graphs_can_be_taken_apart() -> None:
    def parts(k: Any) -> Any:
        inputs = k.Input((12,), name="image")
        h = k.layers.Dense(8, activation="tanh", name="hidden")(inputs)
        encoder = k.Model(inputs, k.layers.Dense(4, name="code")(h), name="encoder")
        code = k.Input((4,))
        decoder = k.Model(code, k.layers.Dense(12)(code), name="decoder")
        image = k.Input((12,))
        return k.Model(image, decoder(encoder(image)), name="autoencoder")

    ours, theirs = pair(parts)
    assert_same_training(ours, theirs, X, X, loss="mse")
    assert [layer.name for layer in ours.layers[1:]] == ["encoder", "decoder"]
    encoder = ours.get_layer("encoder")
    features = lumbre.Model(encoder.inputs, [layer.output for layer in encoder.layers])
    found = features(X)
    assert [f.shape for f in found] == [(128, 12), (128, 8), (128, 4)]
    np.testing.assert_array_equal(found[-1], encoder(X))


def test_an_ensemble() -> None:
    def one(k: Any) -> Any:
        inputs = k.Input((12,))
        return k.Model(inputs, k.layers.Dense(2)(inputs))

    members = [one(lumbre) for _ in range(3)]
    inputs = lumbre.Input((12,))
    ensemble = lumbre.Model(inputs, lumbre.layers.average([m(inputs) for m in members]))
    expected = np.mean([m.predict(X, verbose=0) for m in members], axis=0)
    np.testing.assert_allclose(ensemble.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_graph_with_layers_of_ones_own_is_rebuilt_from_its_config() -> None:
    kind = linear(lumbre)
    inputs = lumbre.Input((12,))
    model = lumbre.Model(inputs, kind(5)(inputs))
    config = model.get_config()
    again = lumbre.Model.from_config(config, custom_objects={"Linear": kind})
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    with pytest.raises((TypeError, ValueError), match="Linear"):
        lumbre.Model.from_config(config)
