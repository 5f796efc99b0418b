"""Gene images on a GPU: counts are copied once, and residual maps are computed on the device.

`spacex.imaging.residuals` contains the formulas. The tests compare both implementations on the CPU; this module has
not been run on a GPU.
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
from spacex.imaging.residuals import pearson_residuals, residual_limit


def on_device(images: GeneImages, device: torch.device) -> GeneImages:
    """Images for computation on a device: unchanged on the CPU, `DeviceImages` on other devices."""
    if device.type == "cpu" or (isinstance(images, DeviceImages) and images.device == device):
        return images
    return DeviceImages.from_images(images, device)


def maps_on(images: GeneImages, genes: slice | np.ndarray, device: torch.device) -> Tensor:
    """Residual maps (B, P) of genes, as a tensor on the device."""
    if isinstance(images, DeviceImages):
        return images.maps(genes)
    return torch.from_numpy(images.residuals(genes)).to(device)


@dataclass(frozen=True)
class DeviceImages(GeneImages):
    """Gene images whose residual maps are computed on a device; methods that return arrays are unchanged.

    Attributes
    ----------
    device
        Device on which maps are computed.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def from_images(cls, images: GeneImages, device: torch.device) -> DeviceImages:
        """The same images on a device."""
        return cls(**{item.name: getattr(images, item.name) for item in fields(GeneImages) if item.init}, device=device)

    @cached_property
    def _device_tensors(self) -> dict[str, Tensor]:
        """Inputs of the residuals, on the device."""
        section = self.layout.section
        arrays: dict[str, Any] = {
            "values": self.counts.data.astype(np.float32, copy=False), "pixel": self.counts.indices.astype(np.int64),
            "totals": self.totals.astype(np.float32), "share": self.share.astype(np.float32),
            "section": section.astype(np.int64), "limit": residual_limit(section),
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for name, array in arrays.items()}

    def maps(self, genes: slice | np.ndarray) -> Tensor:
        """Residual maps (B, P) float32 of genes on the device; see `GeneImages.residuals`."""
        if not self.is_count:
            return torch.from_numpy(self.residuals(genes)).to(self.device)
        tensors, index = self._device_tensors, np.arange(self.n_genes)[genes]
        totals = tensors["totals"][:, torch.from_numpy(index).to(self.device)].T
        mean = totals[:, tensors["section"]] * tensors["share"]
        row, entry = self._entries(index)
        value, column = tensors["values"][entry], tensors["pixel"][entry]
        maps: Tensor = pearson_residuals(value, row, column, mean, tensors["limit"], self.theta, xp=torch)
        return self._center(maps)

    def _entries(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Row in the batch and position in `counts.data` of each nonzero count of genes (B,)."""
        first = self.counts.indptr[index].astype(np.int64)
        size = self.counts.indptr[index + 1] - first
        shift = first - np.concatenate([[0], np.cumsum(size)[:-1]]) if len(size) else first
        sizes, shifts = (torch.from_numpy(np.asarray(array)).to(self.device) for array in (size, shift))
        total = int(size.sum())  # computed on the CPU, so that the device is not synchronized
        row = torch.repeat_interleave(torch.arange(len(index), device=self.device), sizes, output_size=total)
        return row, torch.arange(total, device=self.device) + shifts[row]

    def _center(self, maps: Tensor) -> Tensor:
        """Subtract the mean over each section from maps (B, P), whose pixels are sorted by section, in place."""
        for part in maps.split(np.bincount(self.layout.section).tolist(), dim=1):
            part -= part.mean(dim=1, keepdim=True)
        return maps

    def gram(self, basis: np.ndarray, batches: Iterable[slice], *, unit: bool = False) -> np.ndarray:
        """`GeneImages.gram` on the device; only the basis and the result are copied."""
        factor = torch.from_numpy(basis).to(self.device)
        out = torch.zeros_like(factor)
        for genes in batches:
            maps = self.maps(genes).double()
            scores = maps @ factor
            if unit:
                scores /= (maps**2).sum(dim=1, keepdim=True).clamp_(min=1e-12)
            out += maps.T @ scores
        return out.cpu().numpy()

    def scores(self, components: np.ndarray, genes: slice) -> np.ndarray:
        """`GeneImages.scores` on the device."""
        maps = self.maps(genes)
        rms = ((maps.double() ** 2).sum(dim=1).clamp_(min=1e-12) / maps.shape[1]).sqrt_()
        scores = (maps @ torch.from_numpy(np.ascontiguousarray(components)).to(self.device)).double() / rms[:, None]
        return scores.cpu().numpy()
