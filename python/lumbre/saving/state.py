"""The state of a model by name: what a file of weights holds, and where it goes.

The name of a weight is its path through the model: `layers/dense_1/kernel` is the kernel of the second
`Dense` of a chain or graph, `encoder/blocks/dense/bias` that of the first `Dense` in the list `blocks` of the
attribute `encoder`. Names of layers are not part of it, so a model that is made a second time has the same
paths. The optimizer's Variables and the states of random generators are beside them, under names that no
attribute has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from lumbre.layers.state import State
from lumbre.lookup import numbered, snake_case
from lumbre.tensor import Variable

SEEDS, OPTIMIZER = "@seeds/", "@optimizer/"
_NOT_WALKED = frozenset(
    {"_layers", "_trainable_variables", "_non_trainable_variables", "_seed_generators", "_metrics", "_losses"}
    | {"_inbound_nodes", "_init_args", "optimizer", "loss", "history", "inputs", "outputs", "_build_shapes"}
)


def layers_by_path(model: Any) -> dict[str, Any]:
    """A layer and all layers in it by their paths, each once; that of the layer itself is empty."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def enter(path: str, layer: Any) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        found[path] = layer
        for name, value in _attributes(layer):
            look(f"{path}/{name}" if path else name, value)

    def look(path: str, value: Any) -> None:
        if isinstance(value, State):
            enter(path, value)
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            used: Counter[str] = Counter()
            for part in value.values() if isinstance(value, dict) else value:
                if isinstance(part, (State, list, tuple, dict)):
                    look(f"{path}/{numbered(_kind(part), used)}", part)

    enter("", model)
    return found


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """What may hold layers: of a chain or graph its layers, then attributes in the order of their names."""
    if hasattr(layer, "_tensors") or hasattr(layer, "_graph"):
        yield "layers", list(layer._layers)
    for name in sorted(layer.__dict__, key=lambda n: (n.startswith("_"), n)):
        if name not in _NOT_WALKED:
            yield name, layer.__dict__[name]


def _kind(part: Any) -> str:
    return snake_case(type(part).__name__) if isinstance(part, State) else "group"


def weights(model: Any) -> dict[str, Any]:
    """The weights of a model by path: Variables, or arrays that a layer's `save_own_variables` gives."""
    found: dict[str, Any] = {}
    for path, layer in layers_by_path(model).items():
        prefix = f"{path}/" if path else ""
        if saves_itself(layer):
            store: dict[str, Any] = {}
            layer.save_own_variables(store)
            found.update({f"{prefix}{key}": np.asarray(value) for key, value in store.items()})
        else:
            used: Counter[str] = Counter()
            for v in layer._trainable_variables + layer._non_trainable_variables:
                found[f"{prefix}{numbered(v.name.replace('/', '_'), used)}"] = v
    return found


def saves_itself(layer: Any) -> bool:
    """Whether the class of a layer says itself what is saved of it."""
    return type(layer).save_own_variables is not State.save_own_variables


def seeds(model: Any) -> dict[str, Variable]:
    """The states of the random generators in a model, by path."""
    found: dict[str, Variable] = {}
    for path, layer in layers_by_path(model).items():
        prefix = SEEDS + (f"{path}/" if path else "")
        for i, generator in enumerate(layer._seed_generators):
            found[f"{prefix}{i}"] = generator.state
    return found


def optimizer_state(model: Any) -> dict[str, Variable]:
    """The Variables of a model's optimizer: slots by the path of the parameter that they belong to.

    None before the optimizer was built, which the first step does.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return {}
    by_reference = {
        v.path.replace("/", "_") + "_": path for path, v in weights(model).items() if isinstance(v, Variable)
    }
    longest_first = sorted(by_reference, key=len, reverse=True)
    found: dict[str, Variable] = {}
    used: Counter[str] = Counter()
    for v in optimizer.variables:
        reference = next((r for r in longest_first if v.name.startswith(r)), None)
        name = v.name if reference is None else f"{by_reference[reference]}/{v.name[len(reference) :]}"
        found[OPTIMIZER + numbered(name, used)] = v
    return found


def excluded_from_decay(model: Any) -> list[str]:
    """The paths of the parameters that the optimizer's weight decay leaves alone."""
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None:
        return []
    return [
        path for path, v in weights(model).items() if isinstance(v, Variable) and not optimizer._decays(v)
    ]
