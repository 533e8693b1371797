"""Notices matrix products that no layer makes: those of attention, which have no weights."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import Final

from torch import Tensor
from torch import nn
from torch.overrides import TorchFunctionMode

PRODUCTS: Final = frozenset(
    {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention"}
)
"""Names of PyTorch's functions; convolutions and linear layers call none of them from Python."""


class MatrixProductWatch(TorchFunctionMode):
    """While it is on, remembers whether two tensors that are no parameters met in a matrix product."""

    seen = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and look at its name and arguments."""
        if not self.seen and getattr(func, "__name__", "") in PRODUCTS:
            factors = [*args, *(kwargs or {}).values()]
            factors += [each for group in factors if isinstance(group, list | tuple) for each in group]
            tensors = [factor for factor in factors if isinstance(factor, Tensor)]
            self.seen = len(tensors) > 1 and not any(isinstance(tensor, nn.Parameter) for tensor in tensors)
        return func(*args, **(kwargs or {}))
