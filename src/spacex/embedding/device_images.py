"""`DeviceImages`: gene images whose counts are copied to a GPU once, where residual maps are computed.

The arithmetic is that of `spacex.imaging.gene_images`, on tensors; tests compare both on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spacex.imaging.gene_images import GeneImages


def on_device(images: GeneImages, device: torch.device) -> GeneImages:
    """Return the images unchanged for the CPU, as `DeviceImages` otherwise."""
    if device.type == "cpu" or (isinstance(images, DeviceImages) and images.device == device):
        return images
    return DeviceImages.from_images(images, device)


def maps_on(images: GeneImages, genes: slice | np.ndarray, device: torch.device) -> Tensor:
    """Return residual maps (B, P) of some genes as a tensor on the device."""
    if isinstance(images, DeviceImages):
        return images.maps(genes)
    return torch.from_numpy(images.residuals(genes)).to(device)


@dataclass(frozen=True)
class DeviceImages(GeneImages):
    """Gene images with residual maps on a device; methods that return arrays behave as those of `GeneImages`.

    Attributes
    ----------
    device
        Device of the maps.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def from_images(cls, images: GeneImages, device: torch.device) -> DeviceImages:
        """Return the same images on a device."""
        return cls(**{f.name: getattr(images, f.name) for f in fields(GeneImages) if f.init}, device=device)

    @cached_property
    def _device_tensors(self) -> dict[str, Tensor]:
        """Counts and their expected values on the device."""
        section, host = self.layout.section, np.float32
        arrays: dict[str, Any] = {
            "values": self.counts.data.astype(host, copy=False), "pixel": self.counts.indices.astype(np.int64),
            "totals": self.totals.astype(host), "share": self.share.astype(host), "section": section.astype(np.int64),
            "limit": np.sqrt(np.bincount(section), dtype=host)[section],
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for name, array in arrays.items()}

    def maps(self, genes: slice | np.ndarray) -> Tensor:
        """Return residual maps (B, P) float32 of some genes on the device, equal to those of `residuals`."""
        if not self.is_count:
            return torch.from_numpy(self.residuals(genes)).to(self.device)
        tensors = self._device_tensors
        gene_index = np.arange(self.n_genes)[genes]
        totals = tensors["totals"][:, torch.from_numpy(gene_index).to(self.device)].T
        mean = totals[:, tensors["section"]] * tensors["share"]
        spread = (mean * (mean / self.theta + 1.0)).clamp_(min=1e-12).sqrt_()
        out = torch.maximum((mean / spread).neg_(), -tensors["limit"])
        row, position = self._value_positions(gene_index)
        column, value = tensors["pixel"][position], tensors["values"][position]
        nonzero = (value - mean[row, column]) / spread[row, column]
        out[row, column] = torch.minimum(nonzero, tensors["limit"][column])
        return self._centered(out)

    def _value_positions(self, gene_index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the row in the batch, and the position in the sparse matrix, of every count of some genes."""
        first = self.counts.indptr[gene_index].astype(np.int64)
        size = self.counts.indptr[gene_index + 1] - first
        shift = first - np.concatenate([[0], np.cumsum(size)[:-1]]) if len(size) else first
        sizes, shifts = (torch.from_numpy(np.asarray(array)).to(self.device) for array in (size, shift))
        total = int(size.sum())  # computed on the CPU, to avoid a synchronization
        row = torch.repeat_interleave(torch.arange(len(gene_index), device=self.device), sizes, output_size=total)
        return row, torch.arange(total, device=self.device) + shifts[row]

    def _centered(self, maps: Tensor) -> Tensor:
        """Subtract the mean of each section from maps (B, P) in place; pixels are ordered by section."""
        for part in maps.split(np.bincount(self.layout.section).tolist(), dim=1):
            part -= part.mean(dim=1, keepdim=True)
        return maps

    def gram(self, basis: np.ndarray, batches: Iterable[slice], *, unit: bool = False) -> np.ndarray:
        """Compute `GeneImages.gram` on the device."""
        basis_tensor = torch.from_numpy(basis).to(self.device)
        out = torch.zeros_like(basis_tensor)
        for genes in batches:
            maps = self.maps(genes).double()
            scores = maps @ basis_tensor
            if unit:
                scores /= (maps**2).sum(dim=1, keepdim=True).clamp_(min=1e-12)
            out += maps.T @ scores
        return out.cpu().numpy()

    def scores(self, components: np.ndarray, genes: slice) -> np.ndarray:
        """Compute `GeneImages.scores` on the device."""
        maps = self.maps(genes)
        size = ((maps.double() ** 2).sum(dim=1).clamp_(min=1e-12) / maps.shape[1]).sqrt_()
        scores = (maps @ torch.from_numpy(np.ascontiguousarray(components)).to(self.device)).double() / size[:, None]
        return scores.cpu().numpy()
