"""Keras's guide on writing a training loop from scratch, and the recipes that people build on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lumbre
from guide_models import Counted, assert_captured, assert_same_weights, batches, keras_step, pair, share
from keras_reference import keras
from lumbre import ops
from lumbre.autograd import Tensor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((192, 10)).astype("float32")
LABELS = np.abs(X[:, :3]).argmax(-1)
TRAIN, HELD = slice(0, 128), slice(128, 192)
BATCH = 32


def classifier(k: Any, penalty: float = 0.0) -> Any:
    inputs = k.Input((10,))
    regularizer = k.regularizers.L2(penalty) if penalty else None
    h = k.layers.Dense(24, activation="tanh", kernel_regularizer=regularizer)(inputs)
    h = k.layers.Dense(16, activation="tanh")(h)
    return k.Model(inputs, k.layers.Dense(3)(h))


def logits_loss(k: Any) -> Any:
    return k.losses.SparseCategoricalCrossentropy(from_logits=True)


# -------------------- the loop


@pytest.mark.parametrize("penalty", [0.0, 0.01])
def test_a_loop_from_scratch_is_keras_fit(penalty: float) -> None:
    """Epochs, batches, metrics that are read and reset, penalties, validation: the `History` of Keras."""
    model, theirs = pair(lambda k: classifier(k, penalty))
    optimizer, loss_fn = lumbre.optimizers.RMSprop(0.005), logits_loss(lumbre)
    train_accuracy = lumbre.metrics.SparseCategoricalAccuracy()
    held_accuracy = lumbre.metrics.SparseCategoricalAccuracy()

    def train_step(x: Tensor, y: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
            loss += sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        train_accuracy.update_state(y, logits)
        return loss

    def test_step(x: Tensor, y: Tensor) -> None:
        held_accuracy.update_state(y, model(x, training=False))

    step, held_step = Counted(train_step), Counted(test_step)
    history: dict[str, list[float]] = {"loss": [], "accuracy": [], "val_accuracy": []}
    x, y = X[TRAIN], LABELS[TRAIN]
    for _ in range(4):
        losses = [step(x[s], y[s]) for s in batches(len(x), BATCH)]
        history["loss"].append(float(np.mean([float(loss) for loss in losses])))
        history["accuracy"].append(float(train_accuracy.result()))
        train_accuracy.reset_state()
        for s in batches(64, BATCH):
            held_step(X[HELD][s], LABELS[HELD][s])
        history["val_accuracy"].append(float(held_accuracy.result()))
        held_accuracy.reset_state()
    assert step.runs <= 3 and held_step.runs <= 3

    theirs.compile(keras.optimizers.RMSprop(0.005), logits_loss(keras), metrics=["accuracy"])
    expected = theirs.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=4,
        shuffle=False,
        validation_data=(X[HELD], LABELS[HELD]),
        verbose=0,
    ).history
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)
    assert_same_weights(model, theirs)


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop", "AdamW"])
def test_a_captured_loop_is_fit(name: str) -> None:
    """Bit for bit, with the same optimizer, and with arrays of other dtypes and orders."""
    model, twin = classifier(lumbre), classifier(lumbre)
    share([model], [twin])
    loss_fn, optimizer = logits_loss(lumbre), getattr(lumbre.optimizers, name)(0.01)

    @lumbre.capture
    def step(batch: tuple[Tensor, Tensor]) -> None:
        x, y = batch
        with lumbre.GradientTape() as tape:
            loss = loss_fn(y, model(ops.cast(x, "float32"), training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    wide = np.asfortranarray(X[TRAIN].astype("float64"))
    for _ in range(3):
        for s in batches(128, BATCH):
            step((wide[s], LABELS[TRAIN][s].astype("int16")))
    twin.compile(getattr(lumbre.optimizers, name)(0.01), logits_loss(lumbre))
    twin.fit(X[TRAIN], LABELS[TRAIN], batch_size=BATCH, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loop_over_an_iterator_with_numbers_of_its_own() -> None:
    """A generator feeds the loop; the rate is set by hand, and is that of a schedule."""
    model, theirs = pair(classifier)
    optimizer = lumbre.optimizers.SGD(0.1, momentum=0.9)
    loss_fn = logits_loss(lumbre)

    def train(x: Tensor, y: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    def source() -> Any:
        for _ in range(3):
            for s in batches(128, BATCH):
                yield X[s], LABELS[s]

    step = Counted(train)
    losses = []
    for number, (x, y) in enumerate(source()):
        optimizer.learning_rate = 0.1 * 0.5 ** (number / 4)
        losses.append(float(step(x, y)))
    assert step.runs <= 3

    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5)
    theirs.compile(keras.optimizers.SGD(schedule, momentum=0.9), logits_loss(keras))
    expected = [theirs.train_on_batch(x, y) for x, y in source()]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


# -------------------- gradients by hand


def run(model: Any, optimizer: Any, treat: Callable[[list[Tensor]], list[Tensor]], steps: int = 8) -> Counted:
    """A few steps whose gradients are treated before they are applied."""
    loss_fn = logits_loss(lumbre)

    def train(x: Tensor, y: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            loss = 10.0 * loss_fn(y, model(x, training=True))
        gradients = treat(tape.gradient(loss, model.trainable_variables))
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    step = Counted(train)
    for s in (batches(128, BATCH) * 10)[:steps]:
        step(X[s], LABELS[s])
    return step


def clip_each(gradients: list[Tensor]) -> list[Tensor]:
    norms = [ops.sqrt(ops.sum(g * g)) for g in gradients]
    return [g * ops.minimum(1.0, 0.5 / n) for g, n in zip(gradients, norms, strict=True)]


def clip_together(gradients: list[Tensor]) -> list[Tensor]:
    norm = ops.sqrt(sum(ops.sum(g * g) for g in gradients))
    return [g * (0.5 / ops.maximum(norm, 0.5)) for g in gradients]


@pytest.mark.parametrize(
    ("treat", "option"),
    [
        (clip_each, "clipnorm"),
        (clip_together, "global_clipnorm"),
        (lambda gradients: [ops.clip(g, -0.5, 0.5) for g in gradients], "clipvalue"),
    ],
)
def test_clipping_by_hand(treat: Any, option: str) -> None:
    model, twin = classifier(lumbre), classifier(lumbre)
    share([model], [twin])
    step = run(model, lumbre.optimizers.SGD(0.1), treat)
    run(twin, lumbre.optimizers.SGD(0.1, **{option: 0.5}), lambda gradients: gradients)
    assert step.runs <= 3
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class Accumulating(lumbre.Model):
    """Gradients of several small batches make one update."""

    def __init__(self, *args: Any, every: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.every = every
        self.sums = [lumbre.Variable(ops.zeros(v.shape), trainable=False) for v in self.trainable_variables]
        self.seen = lumbre.Variable(0, dtype="int32", trainable=False)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with lumbre.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        weights = self.trainable_variables
        for total, g in zip(self.sums, tape.gradient(loss, weights), strict=True):
            total.assign_add(g / float(self.every))
        self.seen.assign_add(1)
        due = ops.cast(ops.equal(ops.mod(self.seen, self.every), 0), "float32")
        for v, total in zip(weights, self.sums, strict=True):
            v.assign_sub(due * 0.1 * total)
            total.assign((1.0 - due) * total)
        return {"loss": loss}


def test_gradient_accumulation_is_a_larger_batch() -> None:
    inputs = lumbre.Input((10,))
    model = Accumulating(inputs, lumbre.layers.Dense(3)(inputs))
    theirs = keras.Sequential([keras.Input((10,)), keras.layers.Dense(3)])
    kernel = RNG.standard_normal((10, 3)).astype("float32") * 0.3
    weights = [kernel, np.zeros(3, "float32")]
    theirs.set_weights(weights)
    for v, w in zip(model.trainable_variables, weights, strict=True):
        v.assign(w)
    model.compile(loss=logits_loss(lumbre))
    theirs.compile(keras.optimizers.SGD(0.1), logits_loss(keras))
    model.fit(X[TRAIN], LABELS[TRAIN], batch_size=8, epochs=3, shuffle=False, verbose=0)
    theirs.fit(X[TRAIN], LABELS[TRAIN], batch_size=32, epochs=3, shuffle=False, verbose=0)
    for v, w in zip(model.trainable_variables, theirs.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-4, atol=1e-6)
    assert_captured(model)


# -------------------- `apply`


def test_apply_and_apply_gradients() -> None:
    a, b = lumbre.Variable([1.0, 2.0]), lumbre.Variable([3.0])
    optimizer = lumbre.optimizers.SGD(0.5)
    optimizer.apply([[2.0, 2.0], [4.0]], [a, b])
    np.testing.assert_array_equal(a, [0.0, 1.0])
    optimizer.apply([[2.0, 2.0], [4.0]])  # those that it was built with
    np.testing.assert_array_equal(b, [-1.0])
    assert int(optimizer.apply_gradients(zip([[2.0, 0.0], [0.0]], [a, b], strict=True)).numpy()) == 3
    np.testing.assert_array_equal(a, [-2.0, 0.0])
    optimizer.apply([[1.0]], [b])  # some of them
    np.testing.assert_array_equal(b, [-1.5])


def test_gradients_that_are_missing() -> None:
    for k in (lumbre, keras):
        used, unused = k.Variable(1.0), k.Variable(2.0)
        optimizer = k.optimizers.SGD(0.5)
        one = k.ops.convert_to_tensor(1.0)
        with pytest.warns(UserWarning, match=r"Gradients do not exist for variables"):
            optimizer.apply([one, None], [used, unused])
        assert float(used.numpy()) == 0.5 and float(unused.numpy()) == 2.0
        with pytest.raises(ValueError, match="No gradients provided for any variable"):
            optimizer.apply([None, None], [used, unused])
        with pytest.raises(ValueError, match=r"must already be built|must.*call.*build"):
            k.optimizers.SGD(0.5).apply([one])
        with pytest.raises(ValueError, match="gradients must match"):
            optimizer.apply([one])
        with pytest.raises(ValueError, match="Unknown variable"):
            optimizer.apply([one], [k.Variable(1.0)])
        assert float(used.numpy()) == 0.5 and int(optimizer.iterations.numpy()) == 1


# -------------------- freezing and fine tuning


def test_freezing_and_fine_tuning() -> None:
    """A head on a frozen base, then all of it at a low rate: by loops here, by `fit` there."""
    results = []
    for k in (lumbre, keras):
        base = k.Sequential(
            [k.Input((10,)), k.layers.Dense(16, activation="tanh"), k.layers.LayerNormalization()]
        )
        inputs = k.Input((10,))
        model = k.Model(inputs, k.layers.Dense(3)(base(inputs, training=False)))
        rng = np.random.default_rng(4)
        model.set_weights(
            [0.3 * rng.standard_normal(w.shape) if w.ndim > 1 else w for w in model.get_weights()]
        )
        losses = []
        for trainable, optimizer, epochs in (
            (False, k.optimizers.Adam(0.01), 3),
            (True, k.optimizers.Adam(1e-3), 3),
        ):
            base.trainable = trainable
            assert len(model.trainable_weights) == (6 if trainable else 2)
            frozen = base.get_weights()
            if k is keras:
                model.compile(optimizer, logits_loss(k))
                history = model.fit(X, LABELS, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
                losses += history.history["loss"]
            else:
                losses += tune(model, optimizer, epochs)
            same = all(np.array_equal(a, b) for a, b in zip(frozen, base.get_weights(), strict=True))
            assert same == (not trainable)
        results.append((losses, model.get_weights()))
    (ours, our_weights), (theirs, their_weights) = results
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    for a, b in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def tune(model: Any, optimizer: Any, epochs: int) -> list[float]:
    loss_fn = logits_loss(lumbre)

    def train(x: Tensor, y: Tensor) -> Tensor:
        with lumbre.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        return loss

    step = Counted(train)
    places = batches(len(X), 64)
    losses = [np.mean([float(step(X[s], LABELS[s])) for s in places]) for _ in range(epochs)]
    assert step.runs <= 3
    return losses


def test_freezing_between_calls_of_a_captured_step() -> None:
    """The step is recorded anew, and the frozen layer stays as it is."""
    model = classifier(lumbre)
    optimizer, loss_fn = lumbre.optimizers.SGD(0.1), logits_loss(lumbre)

    @lumbre.capture
    def step(x: Tensor, y: Tensor) -> None:
        with lumbre.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        weights = model.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)

    optimizer.build(model.trainable_variables)
    for _ in range(5):
        step(X[:32], LABELS[:32])
    model.layers[1].trainable = False
    before = [layer.get_weights() for layer in model.layers[1:]]
    for _ in range(5):
        step(X[:32], LABELS[:32])
    after = [layer.get_weights() for layer in model.layers[1:]]
    moved = [
        any((a != b).any() for a, b in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)
    ]
    assert moved == [False, True, True]


# -------------------- recipes


def test_denoising_autoencoder() -> None:
    """Noise within the step, the clean data as target."""
    clean = np.sin(np.linspace(0, 6, 16) * RNG.uniform(0.5, 2, (256, 1))).astype("float32")
    lumbre.utils.set_random_seed(0)
    model = lumbre.Sequential(
        [
            lumbre.Input((16,)),
            lumbre.layers.GaussianNoise(0.3, seed=1),
            lumbre.layers.Dense(32, activation="relu"),
            lumbre.layers.Dense(16),
        ]
    )
    model.compile("adam", "mse")
    noisy = clean + 0.3 * RNG.standard_normal(clean.shape).astype("float32")
    model.fit(clean, clean, epochs=60, verbose=0)
    repaired = model.predict(noisy, verbose=0)
    assert np.mean((repaired - clean) ** 2) < 0.5 * np.mean((noisy - clean) ** 2)
    assert_captured(model)


def contrastive(k: Any) -> Any:
    def loss(y_true: Any, distance: Any) -> Any:
        y_true = k.ops.cast(y_true, "float32")
        apart = k.ops.square(k.ops.maximum(1.0 - distance, 0.0))
        return k.ops.mean((1.0 - y_true) * k.ops.square(distance) + y_true * apart)

    return loss


def siamese(k: Any) -> Any:
    inputs = k.Input((10,))
    h = k.layers.Dense(16, activation="tanh")(inputs)
    embed = k.Model(inputs, k.layers.Dense(4, activation="tanh")(h))
    left, right = k.Input((10,), name="left"), k.Input((10,), name="right")
    difference = k.layers.Subtract()([embed(left), embed(right)])
    square = k.ops.sum(k.ops.square(difference), axis=1, keepdims=True)
    return k.Model([left, right], k.ops.sqrt(k.ops.maximum(square, 1e-7)))


def test_a_siamese_network_with_contrastive_loss() -> None:
    left, right = RNG.permutation(192), RNG.permutation(192)
    differ = (LABELS[left] != LABELS[right]).astype("float32")[:, None]
    ours, theirs = pair(siamese)
    for k, model in ((lumbre, ours), (keras, theirs)):
        model.compile(k.optimizers.Adam(0.01), contrastive(k))
    fit: dict[str, Any] = {"batch_size": 64, "epochs": 8, "shuffle": False, "verbose": 0}
    a, b = (m.fit([X[left], X[right]], differ, **fit).history["loss"] for m in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=2e-4)
    assert a[-1] < a[0]
    assert_captured(ours)


class Distiller(lumbre.Model):
    """A student learns from the labels and from the teacher's softened answers (Hinton et al., 2015)."""

    def __init__(self, student: Any, teacher: Any) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    def compile(self, optimizer: Any, metrics: Any, alpha: float, temperature: float) -> None:
        super().compile(optimizer, metrics=metrics)
        self.student_loss = logits_loss(lumbre)
        self.distillation_loss = lumbre.losses.KLDivergence()
        self.alpha, self.temperature = alpha, temperature

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        teacher = self.teacher(x, training=False)
        soft = self.distillation_loss(
            ops.softmax(teacher / self.temperature, axis=1), ops.softmax(y_pred / self.temperature, axis=1)
        )
        return self.alpha * self.student_loss(y, y_pred) + (1 - self.alpha) * soft * self.temperature**2

    def call(self, x: Any) -> Any:
        return self.student(x)


def test_knowledge_distillation() -> None:
    student, their_student = pair(small, seed=1)
    teacher, their_teacher = pair(classifier, seed=2)
    teacher.trainable = False
    model = Distiller(student, teacher)
    model.compile(lumbre.optimizers.Adam(0.01), ["sparse_categorical_accuracy"], alpha=0.3, temperature=4.0)
    frozen = teacher.get_weights()
    optimizer, kl = keras.optimizers.Adam(0.01), keras.losses.KLDivergence()
    for number, s in enumerate(batches(192, 32) * 2):
        logs = model.train_on_batch(X[s], LABELS[s], return_dict=True)

        def loss(student: Any, s: slice = s) -> Any:
            softmax, z = keras.ops.softmax, student(X[s])
            soft = kl(softmax(their_teacher(X[s]) / 4.0, axis=1), softmax(z / 4.0, axis=1))
            return 0.3 * logits_loss(keras)(LABELS[s], z) + 0.7 * soft * 16.0

        expected = keras_step(loss, [their_student], their_student, optimizer)
        assert logs["loss"] == pytest.approx(expected, rel=1e-4), number
        assert set(logs) == {"loss", "sparse_categorical_accuracy"}
    assert_same_weights(student, their_student)
    for a, b in zip(frozen, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_captured(model)


def small(k: Any) -> Any:
    return k.Sequential([k.Input((10,)), k.layers.Dense(6, activation="relu"), k.layers.Dense(3)])
