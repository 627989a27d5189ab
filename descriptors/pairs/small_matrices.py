"""3 x 3 matrices by formulas.

`torch.linalg.eigh` would make the host wait for the device, and in PyTorch 2.11 and some later versions for long: half
a second for 512 matrices (https://github.com/pytorch/pytorch/issues/183806).

All matrices are (N, 3, 3) float64. Every step is one operation over all of them, the same whatever they hold.
"""

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from descriptors.constants import constant

UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MEAN = (1 / 3, 0, 0, 0, 1 / 3, 0, 0, 0, 1 / 3)  # of the diagonal, times a matrix's nine entries
TRACELESS = tuple(tuple((i == j) - 3 * MEAN[i] * MEAN[j] for j in range(9)) for i in range(9))
PARTS = (*TRACELESS, MEAN)
COSINE = sqrt(2 / 3)  # the eigenvalues of a traceless matrix of norm 1 are this times the cosine of three angles
GAP = sqrt(1 / 2)  # the eigenvalues of diag(0, 1, -1), brought to norm 1
TINY = 1e-30  # divides zeros; far below the rounding of anything that counts


def with_eigenvalues(matrix: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Symmetric matrices with the same eigenvectors and with `function` of their eigenvalues.

    The eigenvalue farthest from the other two comes from the trigonometric solution of the cubic (Smith, "Eigenvalues
    of a symmetric 3 x 3 matrix", 1961), which is exact to rounding for this one only. The others are what is left on
    the plane across its eigenvector. No other eigenvector is made, so equal eigenvalues are nothing special.

    Args:
        matrix: (N, 3, 3) symmetric.
        function: (N, 1, 3) eigenvalues, in no order, to as many new ones; elementwise.
    """
    mean, size, shape = _normalized(matrix)
    cosine, axis = _farthest(shape)
    rest = torch.addcmul(shape, cosine, axis, value=-COSINE / 2)  # on the plane, without its mean there
    norm = _norm(rest)
    middle, half_gap = (constant(values, matrix) for values in ((COSINE, -COSINE / 2, -COSINE / 2), (0.0, GAP, -GAP)))
    new = function(torch.addcmul(mean, size, torch.addcmul(cosine * middle, norm, half_gap)))
    return _assembled(new, axis, rest / norm)


def _normalized(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices as mean (N, 1, 1) x unit matrix + size (N, 1, 1) x shape (N, 3, 3), which is traceless, of norm 1."""
    parts = matrix.reshape(-1, 9) @ constant(PARTS, matrix).mT
    traceless = parts[:, :9].view(-1, 3, 3)
    size = _norm(traceless)
    return parts[:, 9:, None], size, traceless / size


def _norm(matrix: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True)
    return norm.clamp_min(TINY)


def _farthest(shape: Tensor) -> tuple[Tensor, Tensor]:
    """A shape's eigenvalue x farthest from the others, as x / COSINE (N, 1, 1), and its 3 v v^T - 1 (N, 3, 3).

    For x = COSINE cos(angle) the characteristic equation x^3 - x / 2 = det = tr(shape^3) / 3 is cos(3 angle) =
    3 sqrt(6) det, and adj(shape - x) = shape^2 + x shape + x^2 - 1 / 2 = (3 x^2 - 1 / 2) v v^T has x's eigenvector v.
    """
    square = torch.baddbmm(constant(UNIT, shape), shape, shape, beta=-1 / 3)  # traceless
    triple = torch.baddbmm(shape[:, :1, :1], square.view(-1, 1, 9), shape.reshape(-1, 9, 1), beta=0, alpha=sqrt(6))
    cosine = torch.copysign(triple.abs().clamp_max(1).acos().div(3).cos(), triple)
    slope = torch.addcmul(constant((-1 / 6,), shape), cosine, cosine, value=COSINE**2)
    return cosine, torch.addcmul(square, cosine, shape, value=COSINE) / slope


def _assembled(values: Tensor, axis: Tensor, rest: Tensor) -> Tensor:
    """Matrices of their eigenvalues (N, 1, 3), 3 v v^T - 1 of the first one's eigenvector v, and the other two's part.

    Between almost equal eigenvalues `rest` is rounding; all that may be left of it is in the plane across v.
    """
    unit = constant(UNIT, axis)
    plane = torch.sub(unit, axis, alpha=0.5)  # 3 / 2 of the projection onto it
    weights = ((1 / 3, 1 / 3, 0.0), (1 / 3, -1 / 6, GAP * 4 / 9), (1 / 3, -1 / 6, -GAP * 4 / 9))
    even, along, across = (values[:, 0] @ constant(weights, axis))[..., None, None].unbind(1)
    return torch.addcmul(torch.addcmul(even * unit, along, axis), across, plane.bmm(rest).bmm(plane))


def cholesky(matrix: Tensor, floor: float) -> Tensor:
    """The lower triangular C with C C^T = matrix, for positive definite matrices; a pivot below `floor` becomes it."""
    second = _eliminated(matrix, 0)
    third = _eliminated(second, 1)
    columns = torch.cat([matrix[..., :1], second[..., 1:2], third[..., 2:]], -1)
    return columns * columns.diagonal(dim1=-2, dim2=-1)[..., None, :].clamp_min(floor).rsqrt()


def _eliminated(matrix: Tensor, pivot: int) -> Tensor:
    """One step of Gauss's elimination; x / x is exactly 1, so the pivot's row becomes exactly 0."""
    column, row = matrix[..., pivot, None], matrix[..., pivot, None, :]
    return torch.addcmul(matrix, column / row[..., pivot, None], row, value=-1)
