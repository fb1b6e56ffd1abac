"""What each operation of torch does with a tensor: moves, adds, rectifies.

Names are those of torch's dispatcher (aten), without the underscore of those in place: every
function, method and operator of torch comes down to them, whatever it is called by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from torch import Tensor


class Effect(Enum):
    """What an operation does with that in its input which depends on the variant."""

    MOVE = "moves elements and changes none"
    IDLE = "would limit values, but none of these"
    LINEAR = "is linear"
    SMOOTH = "is none of the others"
    RECTIFY = "lets values of one side pass, as a ReLU does"
    ATTEND = "is attention"


MOVES = frozenset(
    {
        *("view", "_unsafe_view", "reshape", "_reshape_alias", "_reshape_copy", "alias"),
        *("squeeze", "unsqueeze", "transpose", "permute", "t", "expand", "repeat", "diagonal"),
        *("slice", "select", "split", "split_with_sizes", "unsafe_split", "unbind", "unfold"),
        *("index", "_unsafe_index", "index_select", "gather", "take", "as_strided"),
        *("cat", "stack", "copy", "clone", "detach", "_to_copy", "lift_fresh"),
        *("flip", "roll", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d"),
        *("replication_pad1d", "replication_pad2d", "pixel_shuffle", "pixel_unshuffle"),
        *("view_as_real", "view_as_complex", "slice_scatter", "select_scatter"),
    }
)

SUMS = frozenset(
    {
        *("add", "sub", "rsub", "neg", "sum", "nansum", "mean", "cumsum", "complex", "lerp"),
        *("real", "imag", "_conj", "_conj_physical", "conj_physical", "_neg_view", "trace"),
        *("resolve_conj", "resolve_neg", "_fft_r2c", "_fft_c2r", "_fft_c2c"),
        *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d"),
        *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "im2col", "col2im"),
        *("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d"),
        *("upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact1d"),
        *("index_put", "_index_put_impl", "_unsafe_index_put", "index_add", "index_copy"),
        *("scatter", "scatter_add", "unfold_backward", "tril", "triu", "masked_fill", "where"),
        *("zero", "fill"),
    }
)
"""Linear in all that they are given."""

PRODUCTS = frozenset(
    {
        *("mul", "mm", "bmm", "mv", "dot", "vdot", "linear", "mkldnn_linear", "ger"),
        *("addmm", "addbmm", "baddbmm", "addmv", "addr", "convolution", "_convolution"),
        *("mkldnn_convolution", "cudnn_convolution", "miopen_convolution"),
        *("_native_batch_norm_legit_no_training", "_trilinear"),
    }
)
"""Linear where one factor at most depends on the variant."""

BATCH_NORMS = frozenset({"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"})
"""Linear where they use the statistics of training: their sixth argument says so."""

QUOTIENTS = frozenset({"div", "true_divide", "polar"})
"""Linear in the first of two."""

RECTIFIERS = frozenset(
    {
        *("relu", "relu6", "threshold", "leaky_relu", "prelu", "_prelu_kernel", "rrelu"),
        *("rrelu_with_noise", "hardswish", "hardshrink", "softshrink"),
    }
)

LIMITS = frozenset(
    {*("clamp", "clamp_min", "clamp_max", "hardtanh"), *("maximum", "minimum", "fmax", "fmin")}
)

SELECTIONS = frozenset({"index", "gather", "index_select", "take", "index_add", "scatter_add"})
"""With places that the variant decides: as pooling by the maximum does."""

STEPS = frozenset({"sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside", "fix"})
"""Their gradient is zero, or none."""

COMPARISONS = frozenset({"gt", "ge", "lt", "le", "eq", "ne"})

ALWAYS_THE_SAME = frozenset(
    {
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
        *("randint_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
        *("bernoulli", "isnan", "isinf", "isfinite"),
    }
)
"""What they give says nothing of the values: a shape alone, or that these are numbers."""


def effect(
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    follows: Callable[[Tensor], bool],
    switched: Callable[[Tensor], bool],
) -> Effect | None:
    """Tell what an operation does; None where nothing of its input depends on the variant.

    follows: whether a tensor depends on the variant continuously. switched: whether it does in
    steps, as the result of a comparison does.
    """
    given = tensors((args, kwargs))
    followed = [tensor for tensor in given if follows(tensor)]
    if not followed:
        return None
    if name.startswith(("_scaled_dot_product", "_flash_attention", "_efficient_attention")):
        return Effect.ATTEND
    if any(map(switched, given)):
        return Effect.SMOOTH if name in SELECTIONS else Effect.RECTIFY
    if name in RECTIFIERS:
        return Effect.RECTIFY
    if name in LIMITS:
        return _limiting(name, args, kwargs, follows)
    if name in MOVES:
        return Effect.MOVE
    if (
        name in SUMS
        or (name in PRODUCTS and len(followed) == 1)
        or (name in QUOTIENTS and len(followed) == 1 and followed[0] is args[0])
        or (name in BATCH_NORMS and len(followed) == 1 and args[5] is False)
        or (name in {"addmm", "addmv", "addbmm", "baddbmm"} and _factors(args, follows) < 2)
    ):
        return Effect.LINEAR
    return Effect.SMOOTH


def tells_apart(name: str, args: Sequence[Any], output: Any) -> bool:
    """Whether a comparison tells elements of this variant, or other variants, apart.

    Equality of real numbers does not: it guards against dividing by zero. Nor does a bound
    other than zero that all elements are on one side of.
    """
    if name not in COMPARISONS:
        return True
    if name in {"eq", "ne"}:
        return not args[0].dtype.is_floating_point
    on_one_side = bool(output.all()) or not bool(output.any())
    return not (on_one_side and not _zero(args[1]))


def _limiting(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], follows: Callable[[Tensor], bool]
) -> Effect:
    """Tell a rectifier from a limit that is not met, a limiter, and a floor under energies.

    A limit at zero rectifies, and so does a limit on one side that some element meets. Limits
    on both sides of zero bend the values as tanh does, and a floor under what is never negative
    guards a logarithm or a division.
    """
    values, *bounds = [*args, *kwargs.values()]
    lower = upper = None
    if name in {"maximum", "fmax", "minimum", "fmin"}:
        other = bounds[0]
        if follows(values) and follows(other):
            return Effect.RECTIFY
        values, bound = (values, other) if follows(values) else (other, values)
        lower, upper = (bound, None) if name in {"maximum", "fmax"} else (None, bound)
    elif name in {"clamp", "hardtanh"}:
        names = ("min", "max") if name == "clamp" else ("min_val", "max_val")
        ends = dict(zip(names, args[1:], strict=False)) | kwargs
        usual = (None, None) if name == "clamp" else (-1.0, 1.0)
        lower, upper = (ends.get(n, u) for n, u in zip(names, usual, strict=True))
    else:
        lower, upper = (bounds[0], None) if name == "clamp_min" else (None, bounds[0])
    if any(isinstance(bound, Tensor) and follows(bound) for bound in (lower, upper)):
        return Effect.RECTIFY
    below = lower is not None and bool((values < lower).any())
    above = upper is not None and bool((values > upper).any())
    if any(bound is not None and _zero(bound) for bound in (lower, upper)):
        return Effect.RECTIFY
    if not (below or above):
        return Effect.IDLE
    limiter = lower is not None and upper is not None
    floor = upper is None and bool((values >= 0).all())
    return Effect.SMOOTH if limiter or floor else Effect.RECTIFY


def _factors(args: Sequence[Any], follows: Callable[[Tensor], bool]) -> int:
    """How many factors of a sum and a product (addmm) depend on the variant."""
    return sum(follows(factor) for factor in args[1:3])


def _zero(bound: object) -> bool:
    if isinstance(bound, Tensor):
        return bool((bound == 0).any())
    return bound == 0


def tensors(given: object) -> list[Tensor]:
    """List all tensors among arguments, in lists and tuples too."""
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return [tensor for part in given for tensor in tensors(part)]
    return []


def continuous(tensor: Tensor) -> bool:
    """Whether a tensor holds real or complex numbers, and not truth values or integers."""
    return bool(tensor.dtype.is_floating_point or tensor.dtype.is_complex)
