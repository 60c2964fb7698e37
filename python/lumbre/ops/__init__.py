"""All operations on tensors, with Keras's names. Families are modules of this package; see `table` for how they are tested."""

# The modules first: among the names below is `shape`, which would hide the module from the others.
from lumbre.ops import (  # isort: skip
    activation,  # noqa: F401
    arithmetic,  # noqa: F401
    contraction,  # noqa: F401
    creation,  # noqa: F401
    dtypes,  # noqa: F401
    functions,  # noqa: F401
    indexing,  # noqa: F401
    joining,  # noqa: F401
    logic,  # noqa: F401
    loss,  # noqa: F401
    matmul,  # noqa: F401
    metric,  # noqa: F401
    optimizer,  # noqa: F401
    random,  # noqa: F401
    reduce,  # noqa: F401
    scan,  # noqa: F401
    shape,  # noqa: F401
    slicing,  # noqa: F401
    softmax,  # noqa: F401
    statistics,  # noqa: F401
    trigonometry,  # noqa: F401
)

from lumbre.ops.activation import (
    activation_grad,
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    squareplus,
    tanh,
)
from lumbre.ops.arithmetic import (
    abs,
    add,
    clip,
    divide,
    divide_no_nan,
    floor_divide,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    sign,
    square,
    subtract,
)
from lumbre.ops.contraction import (
    dot,
    einsum,
    outer,
    tensordot,
)
from lumbre.ops.creation import (
    arange,
    convert_to_numpy,
    convert_to_tensor,
    empty,
    eye,
    full,
    full_like,
    identity,
    is_tensor,
    ndim,
    ones,
    ones_like,
    shape,
    size,
    stop_gradient,
    tril,
    triu,
    zeros,
    zeros_like,
)
from lumbre.ops.dtypes import (
    cast,
    result_type,
)
from lumbre.ops.functions import (
    ceil,
    erf,
    exp,
    expm1,
    floor,
    log,
    log10,
    log1p,
    log2,
    power,
    reciprocal,
    round,
    rsqrt,
    sqrt,
)
from lumbre.ops.indexing import (
    one_hot,
    scatter,
    take,
    take_along_axis,
)
from lumbre.ops.joining import (
    concatenate,
    pad,
    split,
    stack,
    unstack,
)
from lumbre.ops.logic import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    where,
)
from lumbre.ops.loss import (
    binary_crossentropy,
    categorical_crossentropy,
    pick,
    sparse_categorical_crossentropy,
)
from lumbre.ops.matmul import (
    linear,
    linear_grad_weights,
    matmul,
    matmul_t,
)
from lumbre.ops.metric import (
    binary_accuracy,
    categorical_accuracy,
    mean_update,
    sparse_categorical_accuracy,
)
from lumbre.ops.optimizer import (
    adam_update,
    increment,
    sgd_update,
)
from lumbre.ops.random import (
    categorical,
    dropout,
    normal,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from lumbre.ops.reduce import (
    all,
    any,
    argmax,
    argmin,
    max,
    mean,
    min,
    sum,
)
from lumbre.ops.scan import (
    cumprod,
    cumsum,
    prod,
)
from lumbre.ops.shape import (
    broadcast_to,
    expand_dims,
    flip,
    moveaxis,
    ravel,
    repeat,
    reshape,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from lumbre.ops.slicing import (
    getitem,
    slice,
    slice_update,
)
from lumbre.ops.softmax import (
    log_softmax,
    softmax,
    softmax_grad,
)
from lumbre.ops.statistics import (
    count_nonzero,
    logsumexp,
    norm,
    std,
    var,
)
from lumbre.ops.trigonometry import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
)
