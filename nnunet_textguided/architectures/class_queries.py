"""The queries: one text row a class, and one learned vector for the background."""

from __future__ import annotations

import torch
from torch import nn


class ClassVectors(nn.Module):
    """Holds what depends on the number of classes; its place in the network is named `seg_layers`.

    nnU-Net leaves out every key with `.seg_layers.` when it takes weights over from a model with other labels.

    Args:
        count: Number of vectors N.
        dim: Width of a vector.
        learned: A parameter (starts as unit normal noise) instead of a buffer (starts as zeros).
    """

    vectors: torch.Tensor

    def __init__(self, count: int, dim: int, learned: bool) -> None:
        super().__init__()
        if learned:
            self.vectors = nn.Parameter(torch.randn(count, dim))
        else:
            self.register_buffer("vectors", torch.zeros(count, dim))


class ClassQueries(nn.Module):
    """Class vectors -> queries (1 + structures + findings, width), the background first.

    A text row (conditioned: rows have RMS norm 1) is scaled to unit variance an entry and projected; a learned vector
    is taken as it is. An embedding says whether a query is a structure or a finding.

    Args:
        num_structures: Number of structures (segmentation channels without background).
        num_findings: Number of findings.
        embedding_dim: Width D of a text row; None = learned vectors.
        width: Width of a query.
    """

    def __init__(self, num_structures: int, num_findings: int, embedding_dim: int | None, width: int) -> None:
        super().__init__()
        self.num_structures = num_structures
        self.num_findings = num_findings
        self.embedding_dim = embedding_dim
        self.project: nn.Module
        if embedding_dim is None:
            self.seg_layers = ClassVectors(num_structures + num_findings, width, learned=True)
            self.project = nn.Identity()
        else:
            self.seg_layers = ClassVectors(num_structures + num_findings, embedding_dim, learned=False)
            self.project = project = nn.Linear(embedding_dim, width)
            nn.init.normal_(project.weight, std=embedding_dim**-0.5)
            nn.init.zeros_(project.bias)
        self.background = nn.Parameter(torch.randn(1, width))
        self.kind = nn.Parameter(0.02 * torch.randn(2, width))

    def set_class_vectors(self, rows: torch.Tensor) -> None:
        """Copy conditioned text rows into the buffer.

        Args:
            rows: (structures + findings, D), in channel order, findings last.

        Raises:
            ValueError: Wrong shape, not finite, or the queries are learned.
        """
        expected = tuple(self.seg_layers.vectors.shape)
        if self.embedding_dim is None:
            raise ValueError("This network has learned queries (embedding_dim None): it takes no class vectors.")
        if tuple(rows.shape) != expected:
            raise ValueError(
                f"Expected class vectors of shape {expected} ({self.num_structures} structures and "
                f"{self.num_findings} findings, embedding width {self.embedding_dim}), got {tuple(rows.shape)}."
            )
        if not bool(torch.isfinite(rows).all()):
            raise ValueError("Expected finite class vectors, got NaN or infinity: the text bank is damaged.")
        with torch.no_grad():
            self.seg_layers.vectors.copy_(rows)

    def forward(self) -> torch.Tensor:
        """Return the queries (1 + structures + findings, width)."""
        vectors = self.seg_layers.vectors
        if self.embedding_dim is not None:
            vectors = vectors * self.embedding_dim**0.5
        kinds = torch.cat([self.kind[:1].expand(self.num_structures, -1), self.kind[1:].expand(self.num_findings, -1)])
        return torch.cat([self.background, self.project(vectors) + kinds])
