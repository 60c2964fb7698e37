"""No fit at all: batches, a gradient, an optimizer and metrics in a loop, with a look at held-out data."""

import keras
import numpy as np

from script_tools import blobs, same_start

keras.utils.set_random_seed(15)
x, y = blobs(320)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
same_start(model)
optimizer = keras.optimizers.Adam(1e-2)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
train_accuracy = keras.metrics.SparseCategoricalAccuracy()
test_accuracy = keras.metrics.SparseCategoricalAccuracy()

if keras.config.backend() == "jax":
    import jax

    optimizer.build(model.trainable_variables)

    def forward(trainable, non_trainable, x, y):
        logits, _ = model.stateless_call(trainable, non_trainable, x, training=True)
        return loss_of(y, logits), logits

    @jax.jit
    def stateless(trainable, non_trainable, state, x, y):
        (loss, logits), gradients = jax.value_and_grad(forward, has_aux=True)(trainable, non_trainable, x, y)
        return loss, logits, *optimizer.stateless_apply(state, gradients, trainable)

    def train_step(x, y):
        trainable = [v.value for v in model.trainable_variables]
        state = [v.value for v in optimizer.variables]
        loss, logits, trainable, state = stateless(trainable, [], state, x, y)
        for variable, value in zip(model.trainable_variables + optimizer.variables, [*trainable, *state]):
            variable.assign(value)
        train_accuracy.update_state(y, logits)
        return loss

else:
    import lumbre

    @lumbre.capture
    def train_step(x, y):
        with keras.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_of(y, logits)
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights))
        train_accuracy.update_state(y, logits)
        return loss


losses = []
for epoch in range(3):
    print(f"Start of epoch {epoch}")
    for start in range(0, 256, 32):
        losses.append(float(train_step(x[start : start + 32], y[start : start + 32])))
    print(f"Training accuracy: {float(train_accuracy.result()):.4f}")
    train_accuracy.reset_state()
    test_accuracy.update_state(y[256:], model(x[256:], training=False))
    print(f"Validation accuracy: {float(test_accuracy.result()):.4f}")
    test_accuracy.reset_state()
print(np.array(losses).shape)
