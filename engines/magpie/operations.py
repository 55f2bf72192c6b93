"""What a decoder step is made of: `plain` has it in PyTorch, `kernels` in Triton. Shapes are told in `plain`."""

from typing import Protocol

from torch import Tensor

from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State
from engines.magpie.weights import Linear


class Operations(Protocol):
    """Stateless functions on device tensors. None of them waits for the device."""

    def norm(self, x: Tensor, gain: Tensor | None = None) -> Tensor: ...
    def linear(self, x: Tensor, by: Linear, *, has_gelu: bool = False, is_exact: bool = False) -> Tensor: ...
    def add_linear(self, residual: Tensor, x: Tensor, by: Linear) -> None: ...
    def project(
        self, x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor
    ) -> Tensor: ...
    def project_all(
        self, x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor
    ) -> Tensor: ...
    def attend(self, q: Tensor, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor) -> Tensor: ...
    def attend_text(
        self,
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        rows: Tensor,
        state: State,
        recipe: Recipe,
        *,
        has_prior: bool,
        reach: Tensor | None,
    ) -> Tensor: ...
    def embed(self, state: State, rows: Tensor, table: Tensor, positions: Tensor) -> Tensor: ...
    def follow(self, state: State, rows: Tensor, reach: Tensor, recipe: Recipe) -> None: ...
    def find_ends(self, logits: Tensor, state: State, rows: Tensor, shape: Shape, recipe: Recipe) -> Tensor: ...
    def pick(
        self,
        draw: int,
        logits: Tensor,
        state: State,
        rows: Tensor,
        shape: Shape,
        recipe: Recipe,
        codes: Tensor,
        table: Tensor | None,
    ) -> Tensor | None: ...
    def advance(
        self, state: State, rows: Tensor, codes: Tensor, ends: Tensor, shape: Shape, recipe: Recipe
    ) -> Tensor: ...
