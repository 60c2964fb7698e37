"""`GradientTape`: TensorFlow's way of asking our tape for gradients.

Ops put nodes on the tape anyway (`autograd.record`), and each node notes which recordings were open
when it was made. A `GradientTape` is such a recording: its gradients go through its own nodes only,
down to what it watches.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lumbre import ops, tree
from lumbre.autograd import FLOATS, Tensor, as_tensor, leaf_key, mode, walk


class Tape:
    """What a `GradientTape` knows of one recording; nodes keep it, to tell which recordings they are in.

    Args:
        everything: Whether trainable Variables are watched when they are used.

    Attributes:
        open: Whether gradients may still be asked for: the nodes are then not freed.
        variables: The watched Variables, by id.
        tensors: The watched tensors, by id. Weak: a tensor refers to its node, and that to this.
    """

    __slots__ = ("everything", "open", "tensors", "variables")

    def __init__(self, everything: bool) -> None:
        self.everything = everything
        self.open = True
        self.variables: dict[int, Any] = {}
        self.tensors: dict[int, weakref.ref[Tensor]] = {}

    def holds(self, t: Tensor) -> bool:
        """Whether it was told to watch this tensor."""
        known = self.tensors.get(id(t))
        return known is not None and known() is t

    def watches(self, t: Tensor) -> bool:
        """Whether gradients are to reach this tensor, or this value of a Variable."""
        if t._var is not None:
            return id(t._var) in self.variables
        return self.holds(t) or wants_gradient(t)


def wants_gradient(t: Tensor) -> bool:
    """Whether a tensor has `requires_grad` of its own, not for a recording that watches it."""
    return t._requires and not any(tape.holds(t) for tape in mode.tapes)


def use(variable: Any) -> bool:
    """Tells the recordings of the use of a Variable; whether one of them, or training, wants its gradient."""
    wanted: bool = variable.trainable
    for tape in mode.tapes:
        if wanted and tape.everything:
            tape.variables[id(variable)] = variable
    return wanted or any(id(variable) in tape.variables for tape in mode.tapes)


class GradientTape:
    """Records what is computed within it, and gives the gradients of results.

    Trainable Variables are watched from their first use on; tensors must be watched by name. Tapes may
    be nested: a gradient taken within an outer tape is recorded by it, and can be differentiated there.
    A recorded step (`fit`, `lumbre.capture`) has the gradients only; a tape costs it nothing.

    Args:
        persistent: Whether `gradient` can be called more than once.
        watch_accessed_variables: Whether trainable Variables are watched without being told.

    Source: `tf.GradientTape`.

    Example:
        >>> import lumbre
        >>> w, x = lumbre.Variable(2.0), lumbre.Tensor(3.0)
        >>> with lumbre.GradientTape() as outer:
        ...     outer.watch(x)
        ...     with lumbre.GradientTape() as tape:
        ...         y = w * w * x
        ...     dw = tape.gradient(y, w)
        >>> dw.item(), outer.gradient(dw, {"w": w, "x": x})["x"].item()
        (12.0, 4.0)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._everything = watch_accessed_variables
        self._tape: Tape | None = None
        self._recording = False
        self._own: dict[int, bool] = {}  # of watched tensors: whether they want a gradient without us

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError("GradientTape: it is recording already; a tape cannot be entered twice")
        if self._tape is None or not self._tape.open:
            self._begin()
        self._start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._recording:
            self._stop()

    def watch(self, tensor: Any) -> None:
        """Has the gradients reach a tensor or Variable, or those in a structure.

        Integers have no gradients: a warning says so, and they are not watched.

        Raises:
            RuntimeError: The tape is not recording.
            ValueError: Something is neither a tensor nor a Variable.

        Example:
            >>> import lumbre
            >>> x = lumbre.Tensor(3.0)
            >>> with lumbre.GradientTape() as tape:
            ...     tape.watch(x)
            ...     y = x * x
            >>> tape.gradient(y, x).item()
            6.0
        """
        if self._tape is None or not self._recording:
            raise RuntimeError(
                "GradientTape.watch: the tape is not recording; call it within `with ... as tape`"
            )
        for t in tree.flatten(tensor):
            if not hasattr(t, "__lumbre_tensor__") and not isinstance(t, Tensor):
                raise ValueError(
                    f"GradientTape.watch: expected a Tensor or a Variable, got an object of type "
                    f"{type(t).__name__}; make it a tensor first: x = lumbre.Tensor(x)"
                )
            if t.dtype not in FLOATS:
                warnings.warn(
                    f"GradientTape.watch: only floating-point tensors have gradients, this one is {t.dtype}",
                    stacklevel=2,
                )
            elif isinstance(t, Tensor) and t._var is None:
                self._watch_tensor(self._tape, t)
            else:
                variable = t._var if isinstance(t, Tensor) else t
                self._tape.variables[id(variable)] = variable

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The gradient of a target with respect to each source.

        Args:
            target: A tensor computed within the tape, or a structure of them, whose gradients are added.
                One that is not a scalar counts as the sum of its elements.
            sources: A Tensor or Variable, or any structure of them.
            output_gradients: For each target, the gradient of some final value with respect to it.
            unconnected_gradients: What stands for a source on which no target depends: "none" or "zero".

        Returns:
            Tensors in the structure of `sources`.

        Raises:
            RuntimeError: A tape that is not persistent was used before, or nothing was recorded.
            TypeError: There is no target.
            ValueError: A source is no Tensor or Variable, or an argument does not fit.
        """
        targets = self._targets("gradient", target)
        leaves = self._sources("gradient", sources)
        zero = _zero_wanted(unconnected_gradients)
        if output_gradients is None:
            given: list[Any] = [None] * len(targets)
        else:
            given = tree.flatten(output_gradients)
            if len(given) != len(targets):
                raise ValueError(
                    f"GradientTape: {len(given)} output gradients were given for {len(targets)} targets"
                )
        roots = [(t, _seed(t, g)) for t, g in zip(targets, given, strict=True)]
        with self._using("gradient", last=not self._persistent) as tape:
            gradients = _walk(tape, roots, leaves)
        return _in_structure(sources, leaves, gradients, zero)

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """All derivatives of a target's elements: the shape of the target, then that of the source.

        One gradient is computed for each element of the target.

        Args:
            target: A tensor computed within the tape.
            sources: A Tensor or Variable, or any structure of them.
            unconnected_gradients: What stands for a source on which the target does not depend: "none" or
                "zero".
            parallel_iterations, experimental_use_pfor: Accepted as in TensorFlow.

        Returns:
            Tensors in the structure of `sources`.

        Raises:
            RuntimeError, TypeError, ValueError: As of `gradient`.

        Example:
            >>> import lumbre
            >>> x = lumbre.Variable([1.0, 2.0])
            >>> with lumbre.GradientTape() as tape:
            ...     y = x * x
            >>> tape.jacobian(y, x).numpy()
            array([[2., 0.],
                   [0., 4.]], dtype=float32)
        """
        (t,) = self._targets("jacobian", target, one=True)
        leaves = self._sources("jacobian", sources)
        zero = _zero_wanted(unconnected_gradients)
        one_hot = np.eye(t.size, dtype="float32").reshape(t.size, *t.shape)
        stacked = self._stacked("jacobian", t, leaves, one_hot, axis=0)
        shaped = [None if j is None else ops.reshape(j, (*t.shape, *j.shape[1:])) for j in stacked]
        return _in_structure(sources, leaves, shaped, zero, lead=t.shape)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The Jacobian of each sample, where no sample's target depends on another's source.

        One gradient is computed for each element of a sample's target.

        Args:
            target: A tensor (b, …) computed within the tape.
            source: A Tensor or Variable (b, …).
            unconnected_gradients: What is returned where the target does not depend on the source: "none" or
                "zero".
            parallel_iterations, experimental_use_pfor: Accepted as in TensorFlow.

        Returns:
            A tensor (b, …, …): the axes of a sample's target, then those of its source.

        Raises:
            RuntimeError, TypeError: As of `gradient`.
            ValueError: Target and source do not have the same number of samples.

        Example:
            >>> import lumbre
            >>> x = lumbre.Variable([[1.0, 2.0], [3.0, 4.0]])
            >>> with lumbre.GradientTape() as tape:
            ...     y = x * x
            >>> tape.batch_jacobian(y, x).numpy().tolist()
            [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]]
        """
        (t,) = self._targets("batch_jacobian", target, one=True)
        (s,) = self._sources("batch_jacobian", [source])
        if not t.shape or not s.shape or t.shape[0] != s.shape[0]:
            raise ValueError(
                "GradientTape.batch_jacobian: target and source need the same first axis, the samples; their "
                f"shapes are {t.shape} and {s.shape}"
            )
        zero = _zero_wanted(unconnected_gradients)
        b, m = t.shape[0], int(np.prod(t.shape[1:]))
        each = np.eye(m, dtype="float32").reshape(m, 1, *t.shape[1:])
        seeds = np.broadcast_to(each, (m, *t.shape))
        (j,) = self._stacked("batch_jacobian", t, [s], seeds, axis=1)
        if j is None:
            return _zeros((*t.shape, *s.shape[1:]), s.dtype) if zero else None
        return ops.reshape(j, (b, *t.shape[1:], *s.shape[1:]))

    def _stacked(
        self, name: str, t: Tensor, leaves: Sequence[Any], seeds: np.ndarray, axis: int
    ) -> list[Tensor | None]:
        """For each source, its gradients for each of the target's gradients, along a new axis."""
        with self._using(name, last=not self._persistent) as tape:
            tape.open = True  # the nodes are needed for the next row, too
            rows = [_walk(tape, [(t, as_tensor(seed, t.dtype))], leaves) for seed in seeds]
            tape.open = self._persistent
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(leaves)
            return [None if not c or c[0] is None else ops.stack(list(c), axis=axis) for c in columns]

    # Recording

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Within it nothing is recorded by this tape.

        Raises:
            RuntimeError: The tape is not recording.
        """
        if not self._recording:
            raise RuntimeError("GradientTape.stop_recording: the tape is not recording")
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forgets what was recorded and watched so far.

        Raises:
            RuntimeError: The tape is not recording.
        """
        if not self._recording:
            raise RuntimeError("GradientTape.reset: the tape is not recording")
        self._stop()
        self._begin()
        self._start()

    def watched_variables(self) -> tuple[Any, ...]:
        """The Variables that were watched by name or by being used, in that order."""
        return tuple(self._tape.variables.values()) if self._tape is not None else ()

    def _begin(self) -> None:
        if self._tape is not None:
            self._tape.open = False
        self._tape = Tape(self._everything)
        self._own = {}

    def _start(self) -> None:
        assert self._tape is not None
        mode.tapes = (*mode.tapes, self._tape)
        self._recording = True
        for t in self._tensors():
            t._requires = True

    def _stop(self) -> None:
        assert self._tape is not None
        mode.tapes = tuple(tape for tape in mode.tapes if tape is not self._tape)
        self._recording = False
        for t in self._tensors():
            t._requires = self._own[id(t)] or any(tape.holds(t) for tape in mode.tapes)

    def _tensors(self) -> list[Tensor]:
        assert self._tape is not None
        held = (known() for known in self._tape.tensors.values())
        return [t for t in held if t is not None]

    def _watch_tensor(self, tape: Tape, t: Tensor) -> None:
        if not tape.holds(t):
            self._own[id(t)] = wants_gradient(t)
            tape.tensors[id(t)] = weakref.ref(t)
            t._requires = True

    # Gradients

    @contextlib.contextmanager
    def _using(self, name: str, last: bool) -> Iterator[Tape]:
        """The recording, to take gradients of; `last`: it is used up then."""
        tape = self._tape
        if tape is None:
            raise RuntimeError(
                f"GradientTape.{name}: nothing was recorded; compute the target within `with ... as tape`"
            )
        if not tape.open:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients (or "
                "jacobians). Make it with GradientTape(persistent=True), or ask for all sources in one call"
            )
        if last:
            if self._recording:
                self._stop()
            tape.open = False
        yield tape

    @staticmethod
    def _targets(name: str, target: Any, one: bool = False) -> list[Tensor]:
        flat = tree.flatten(target)
        if not flat or any(t is None for t in flat):
            raise TypeError(
                f"GradientTape.{name}: the target is a tensor or a structure of them, got {target}"
            )
        for t in flat:
            if not hasattr(t, "__lumbre_tensor__") and not isinstance(t, Tensor):
                raise TypeError(
                    f"GradientTape.{name}: the target is a {type(t).__name__}, which has lost how it was "
                    "computed; keep the tensor that was there before float() or numpy()"
                )
        if one and len(flat) != 1:
            raise TypeError(f"GradientTape.{name}: there must be one target, got {len(flat)}")
        return [as_tensor(t) for t in flat]

    @staticmethod
    def _sources(name: str, sources: Any) -> list[Any]:
        flat = tree.flatten(sources)
        for s in flat:
            if not hasattr(s, "__lumbre_tensor__") and not isinstance(s, Tensor):
                raise ValueError(
                    f"GradientTape.{name}: a source is a Tensor or a Variable, got an object of type "
                    f"{type(s).__name__}"
                )
        return flat


def _seed(target: Tensor, given: Any) -> Tensor:
    """The gradient of the final value with respect to a target: ones, or what is given."""
    if given is None:
        return as_tensor(np.ones(target.shape, "float32"), target.dtype)
    g = as_tensor(given, target.dtype)
    if g.shape != target.shape:
        raise ValueError(
            f"GradientTape.gradient: the output gradient has shape {g.shape}, its target {target.shape}"
        )
    return g


def _walk(tape: Tape, roots: list[tuple[Tensor, Tensor]], leaves: Sequence[Any]) -> list[Tensor | None]:
    keys = [leaf_key(s) for s in leaves]
    found = walk(roots, bool(mode.tapes), frozenset(keys), tape)
    return [found[key][1] if key in found else None for key in keys]


def _zero_wanted(unconnected_gradients: Any) -> bool:
    value = getattr(unconnected_gradients, "value", unconnected_gradients)
    if value not in ("none", "zero"):
        raise ValueError(
            f"Unknown value for unconnected_gradients: {unconnected_gradients!r}; expected 'none' or 'zero'"
        )
    return bool(value == "zero")


def _in_structure(
    sources: Any, leaves: Sequence[Any], gradients: Sequence[Any], zero: bool, lead: tuple[int, ...] = ()
) -> Any:
    if zero:
        gradients = [
            _zeros((*lead, *s.shape), s.dtype) if g is None else g
            for s, g in zip(leaves, gradients, strict=True)
        ]
    return tree.pack_sequence_as(sources, gradients)


def _zeros(shape: tuple[int, ...], dtype: str) -> Tensor:
    return as_tensor(np.zeros(shape, "float32"), dtype)
