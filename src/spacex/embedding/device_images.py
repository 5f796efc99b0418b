"""Gene images on a GPU: counts go there once, and residual maps are made where they are used.

The arithmetic is that of `spacex.imaging.gene_images`, on tensors; tests compare the two on the CPU. It has
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


def on_device(images: GeneImages, device: torch.device) -> GeneImages:
    """The images as they are best worked on there: as they are on the processor, as `DeviceImages` elsewhere."""
    if device.type == "cpu" or (isinstance(images, DeviceImages) and images.device == device):
        return images
    return DeviceImages.of(images, device)


def maps_on(images: GeneImages, genes: slice | np.ndarray, device: torch.device) -> Tensor:
    """Residual maps (B, P) of some genes, as a tensor on the device."""
    if isinstance(images, DeviceImages):
        return images.maps(genes)
    return torch.from_numpy(images.residuals(genes)).to(device)


@dataclass(frozen=True)
class DeviceImages(GeneImages):
    """Gene images whose maps are made on a device; what is asked of them in arrays stays as it is.

    Attributes
    ----------
    device
        Where.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def of(cls, images: GeneImages, device: torch.device) -> DeviceImages:
        """The same images on a device."""
        return cls(**{one.name: getattr(images, one.name) for one in fields(GeneImages) if one.init}, device=device)

    @cached_property
    def _there(self) -> dict[str, Tensor]:
        """What residuals are made of, brought to the device once."""
        section, host = self.layout.section, np.float32
        arrays: dict[str, Any] = {
            "values": self.counts.data.astype(host, copy=False), "pixel": self.counts.indices.astype(np.int64),
            "totals": self.totals.astype(host), "share": self.share.astype(host), "section": section.astype(np.int64),
            "limit": np.sqrt(np.bincount(section), dtype=host)[section],
        }  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for name, array in arrays.items()}

    def maps(self, genes: slice | np.ndarray) -> Tensor:
        """Residual maps (B, P) float32 of some genes on the device, as `residuals` gives them."""
        if not self.is_count:
            return torch.from_numpy(self.residuals(genes)).to(self.device)
        there = self._there
        number = np.arange(self.n_genes)[genes]
        totals = there["totals"][:, torch.from_numpy(number).to(self.device)].T
        # Three passes over a matrix as large as the result, none of which the processor waits for.
        mean = totals[:, there["section"]] * there["share"]
        spread = (mean * (mean / self.theta + 1.0)).clamp_(min=1e-12).sqrt_()
        out = torch.maximum((mean / spread).neg_(), -there["limit"])
        row, place = self._places(number)
        column, value = there["pixel"][place], there["values"][place]
        filled = (value - mean[row, column]) / spread[row, column]
        out[row, column] = torch.minimum(filled, there["limit"][column])
        return self._centered(out)

    def _places(self, number: np.ndarray) -> tuple[Tensor, Tensor]:
        """Row of the batch, and place among all values, of every value of some genes."""
        first = self.counts.indptr[number].astype(np.int64)
        size = self.counts.indptr[number + 1] - first
        shift = first - np.concatenate([[0], np.cumsum(size)[:-1]]) if len(size) else first
        sizes, shifts = (torch.from_numpy(np.asarray(array)).to(self.device) for array in (size, shift))
        total = int(size.sum())  # known here: the device need not be asked
        row = torch.repeat_interleave(torch.arange(len(number), device=self.device), sizes, output_size=total)
        return row, torch.arange(total, device=self.device) + shifts[row]

    def _centered(self, maps: Tensor) -> Tensor:
        """Maps (B, P) without the mean of each section; pixels stand section by section."""
        for part in maps.split(np.bincount(self.layout.section).tolist(), dim=1):
            part -= part.mean(dim=1, keepdim=True)
        return maps

    def gram(self, basis: np.ndarray, batches: Iterable[slice], *, unit: bool = False) -> np.ndarray:
        """As that of `GeneImages`; the basis goes to the device, and only the sum comes back."""
        there = torch.from_numpy(basis).to(self.device)
        out = torch.zeros_like(there)
        for genes in batches:
            maps = self.maps(genes).double()
            scores = maps @ there
            if unit:
                scores /= (maps**2).sum(dim=1, keepdim=True).clamp_(min=1e-12)
            out += maps.T @ scores
        return out.cpu().numpy()

    def scores(self, components: np.ndarray, genes: slice) -> np.ndarray:
        """As those of `GeneImages`."""
        maps = self.maps(genes)
        size = ((maps.double() ** 2).sum(dim=1).clamp_(min=1e-12) / maps.shape[1]).sqrt_()
        scores = (maps @ torch.from_numpy(np.ascontiguousarray(components)).to(self.device)).double() / size[:, None]
        return scores.cpu().numpy()
