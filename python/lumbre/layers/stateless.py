"""Calls that take and return the state of a layer instead of keeping it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbre.scopes import StatelessScope


class StatelessCalls:
    """What layers have of that; a mixin for `Layer`, whose attributes it reads."""

    def stateless_call(
        self: Any,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Calls the layer with other values of its Variables, which stay as they are.

        Args:
            trainable_variables: The values of `trainable_variables`, in that order.
            non_trainable_variables: The values of `non_trainable_variables`.
            args: The inputs, as for `call`.
            return_losses: Whether to return the penalties, too.
            kwargs: Further arguments of `call`.

        Returns:
            The outputs and the new values of `non_trainable_variables`; then the list of `losses`, if
            wanted.

        Raises:
            ValueError: The layer is not built, or the number of values or a shape is another.

        Source: `keras.Layer.stateless_call`.

        Example:
            >>> import lumbre
            >>> layer = lumbre.layers.Dense(1, use_bias=False)
            >>> layer.build((None, 2))
            >>> kernel = lumbre.Tensor([[1.0], [2.0]])
            >>> y, _ = layer.stateless_call([kernel], [], lumbre.ops.ones((1, 2)))
            >>> y.numpy()
            array([[3.]], dtype=float32)
        """
        if not self.built:
            raise ValueError(
                f"To call stateless_call, {type(self).__name__} must be built (i.e. its variables must have "
                "been already created). You can build it by calling it on some data."
            )
        known = [
            ("trainable_variables", self.trainable_variables, trainable_variables),
            ("non_trainable_variables", self.non_trainable_variables, non_trainable_variables),
        ]
        with StatelessScope.of(self, known) as scope:
            outputs = self(*args, **kwargs)
            if return_losses:
                losses = self.losses
        state = [scope.get_current_value(v) for v in known[1][1]]
        return (outputs, state, losses) if return_losses else (outputs, state)
