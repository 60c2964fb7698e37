"""What happens in fit, written by hand: train_step with a gradient of one's own and two metrics."""

import keras

from script_tools import plane, same_start


def functions(model):
    loss_tracker = keras.metrics.Mean(name="loss")
    mae = keras.metrics.MeanAbsoluteError(name="mae")
    return loss_tracker, mae


if keras.config.backend() == "jax":
    import jax

    class Custom(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker, self.mae = functions(self)

        def loss_of(self, trainable, non_trainable, x, y):
            y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
            return keras.ops.mean(keras.ops.square(y - y_pred)), (y_pred, non_trainable)

        def train_step(self, state, data):
            trainable, non_trainable, optimizer, metrics = state
            x, y = data
            step = jax.value_and_grad(self.loss_of, has_aux=True)
            (loss, (y_pred, non_trainable)), gradients = step(trainable, non_trainable, x, y)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            loss_vars = self.loss_tracker.stateless_update_state(
                metrics[: len(self.loss_tracker.variables)], loss
            )
            mae_vars = self.mae.stateless_update_state(metrics[len(self.loss_tracker.variables) :], y, y_pred)
            logs = {
                "loss": self.loss_tracker.stateless_result(loss_vars),
                "mae": self.mae.stateless_result(mae_vars),
            }
            return logs, (trainable, non_trainable, optimizer, loss_vars + mae_vars)

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae]

else:

    class Custom(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker, self.mae = functions(self)

        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = keras.ops.mean(keras.ops.square(y - y_pred))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            self.loss_tracker.update_state(loss)
            self.mae.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae]


keras.utils.set_random_seed(14)
x, y = plane(256)
inputs = keras.Input((8,))
model = Custom(inputs, keras.layers.Dense(1)(keras.layers.Dense(16, activation="relu")(inputs)))
same_start(model)
model.compile(optimizer="adam")
history = model.fit(x, y, epochs=3, batch_size=32)
