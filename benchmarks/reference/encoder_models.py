"""Candidates of the trial of encoders: posterior means, gates, and networks on maps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacex.embedding.coordinates import expression_bounds, expression_level

MIN_SHARE = 0.05
"""Minimum variance around the prediction, as a share of the variance of a dimension."""
MAX_PIXELS = 1500
"""Maps with more pixels are pooled in squares of four."""
SCALES = (1.0, 2.5)
"""Standard deviations, in pixels, of the smoothed maps that a network sees."""
CLIP = (-3.0, 5.0)
WIDTHS = (16, 24, 32)
"""Channels at full, half and quarter resolution."""
PATCH, PATCH_SHARE = 4, 0.4
"""Side of the patches that are masked in pre-training, and their share."""
N_GENE_FEATURES, N_DIM_FEATURES, N_VECTOR_DIMS = 8, 5, 128
LEARNING_RATE = 3e-3
PRETRAINING = 0.3
"""Share of the training time of a network on maps in which it reconstructs masked maps."""


def posterior_mean(
    u: np.ndarray, thinned: np.ndarray, prediction: np.ndarray, total: np.ndarray, *, by_level: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of directions under a normal prior around their prediction, in each dimension.

    The variance of the noise is computed from the correlation of the halves of the counts (Spearman-Brown), that of
    the signal around the prediction from the rest, for genes of similar expression if `by_level`.

    Returns
    -------
    (G, D) posterior means, and (G, D) variance of the noise relative to that around the prediction.
    """
    level = expression_level(total, expression_bounds(total)) if by_level else np.zeros(len(total), dtype=int)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([values[level == i].mean(axis=0) for i in range(level.max() + 1)])[level]

    power, correlation = mean(u**2), mean(thinned[0] * thinned[1]) / mean((thinned**2).mean(axis=0))
    half = np.clip(correlation, 0.01, 0.99)
    signal = power * 2 * half / (1 + half)
    noise = power - signal
    around = np.maximum(signal - 2 * mean(u * prediction) + mean(prediction**2), MIN_SHARE * power)
    return (around * u + noise * prediction) / (around + noise), noise / around


@dataclass(frozen=True)
class Sample:
    """Tensors of the genes of a section.

    Attributes
    ----------
    u, shift, product
        (G, D) directions of the first half, what the ridge prior adds, and D times the products of its halves.
    gene, dim
        (G, `N_GENE_FEATURES`) and (D, `N_DIM_FEATURES`) features of genes and dimensions.
    vectors, second
        (G, `N_VECTOR_DIMS`) joint vectors of the reference, and (G, D') directions of the second half.
    components
        (P, D) weighted components.
    pixel, shape
        (P,) positions of the pixels in the flattened image, and its rows and columns.
    maps
        (2, G, P) maps of both halves.
    """

    u: Tensor
    shift: Tensor
    product: Tensor
    gene: Tensor
    dim: Tensor
    vectors: Tensor
    second: Tensor
    components: Tensor
    pixel: Tensor
    shape: tuple[int, int]
    maps: Tensor

    def image(self, maps: Tensor) -> Tensor:
        """Maps (B, P) as images (B, 1, H, W)."""
        images = torch.zeros(len(maps), self.shape[0] * self.shape[1])
        images[:, self.pixel] = maps
        return images.view(-1, 1, *self.shape)

    def reconstruct(self, z: Tensor) -> Tensor:
        """Images (B, 1, H, W) of embeddings (B, D), which have a mean square of at most that of z."""
        return self.image(z @ self.components.T * len(self.pixel) ** 0.5)


class PriorEncoder(nn.Module):
    """The directions with the ridge prior, and a reliability of each gene; base class of the networks.

    The reliability of a gene in (0, 1) multiplies its cosines; without it, a network would learn to add noise to the
    directions of genes whose cosines in other counts are small.
    """

    pretraining = 0.0

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(16, 1)
        self.reliability_layers = nn.Sequential(nn.Linear(N_GENE_FEATURES, 16), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        nn.init.ones_(last.bias)

    def forward(self, sample: Sample, genes: Tensor) -> Tensor:
        """Return embeddings (B, D) of genes."""
        return sample.u[genes] + sample.shift[genes]

    def reliability(self, sample: Sample, genes: Tensor) -> Tensor:
        """Return the reliability (B, 1) of genes."""
        value: Tensor = torch.sigmoid(self.reliability_layers(sample.gene[genes]))
        return value

    def reconstruction_loss(self, sample: Sample, genes: Tensor) -> Tensor:
        """Return the loss of pre-training."""
        raise NotImplementedError


class Gate(PriorEncoder):
    """Factors of direction and prediction in each dimension, with `uses_genes` of each gene.

    They follow from features that do not depend on the signs of dimensions.
    """

    def __init__(self, *, uses_genes: bool = True):
        super().__init__()
        self.uses_genes = uses_genes
        self.pair, self.gene, self.dim = nn.Linear(4, 32), nn.Linear(N_GENE_FEATURES, 32), nn.Linear(N_DIM_FEATURES, 32)
        self.hidden, self.out = nn.Linear(32, 32), nn.Linear(32, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, sample: Sample, genes: Tensor) -> Tensor:
        u, shift, n_dims = sample.u[genes], sample.shift[genes], sample.u.shape[1]
        features = self.dim(sample.dim)[None]
        if self.uses_genes:
            products = torch.stack([n_dims * u * u, n_dims * u * shift, n_dims * shift**2, sample.product[genes]], -1)
            products = products.sign() * products.abs().log1p()
            features = features + self.gene(sample.gene[genes])[:, None] + self.pair(products)
        factor = 1 + self.out(F.gelu(self.hidden(F.gelu(features))))
        return (torch.stack([u, shift], dim=-1) * factor).sum(dim=-1)


class MapNet(Gate):
    """U-Net that denoises maps; the projection on the components of the section is added to the result of a gate.

    Channels are the map, also smoothed at two scales, the maps of direction and prediction, and the tissue. Layers are
    modulated (FiLM) by features of the gene and its joint vector.

    Parameters
    ----------
    gate
        A trained gate, whose weights are copied and trained further.
    uses_vectors
        Whether layers are modulated by the joint vector.
    uses_components
        Whether the maps of direction and prediction are channels.
    """

    pretraining = PRETRAINING

    def __init__(self, gate: Gate, *, uses_vectors: bool = True, uses_components: bool = True):
        super().__init__()
        self.load_state_dict(gate.state_dict(), strict=True)
        self.uses_vectors, self.uses_components = uses_vectors, uses_components
        self.embed = nn.Linear(N_VECTOR_DIMS, 32)
        self.condition = nn.Sequential(nn.Linear(32 + N_GENE_FEATURES, 48), nn.GELU())
        a, b, c = WIDTHS
        sizes = [(6, a), (a, a), (a, b), (b, c), (c + b, b), (b + a, a)]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in sizes)
        self.modulations = nn.ModuleList(nn.Linear(48, 2 * o) for _, o in sizes)
        self.last, self.log_gain = nn.Conv2d(a, 1, 1), nn.Parameter(torch.tensor(-2.0))

    def forward(self, sample: Sample, genes: Tensor) -> Tensor:
        denoised = self.denoise(sample, genes)
        projection = denoised @ sample.components / len(sample.pixel) ** 0.5
        return super().forward(sample, genes) + self.log_gain.exp() * projection

    def denoise(self, sample: Sample, genes: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return denoised maps (B, P); `visible` (B, 1, H, W) is zero in masked patches."""
        x, tissue = self.channels(sample, genes, visible), sample.image(torch.ones(1, len(sample.pixel)))
        is_pooled = len(sample.pixel) > MAX_PIXELS
        if is_pooled:
            x, tissue = (F.avg_pool2d(v, 2, ceil_mode=True, count_include_pad=True) for v in (x, tissue))
            x = x / tissue.clamp(min=0.25)
        x = torch.cat([x, tissue.expand(len(x), -1, -1, -1)], dim=1)
        vectors = self.embed(sample.vectors[genes]) * float(self.uses_vectors)
        x = self.unet(x, self.condition(torch.cat([vectors, sample.gene[genes]], dim=1)))
        if is_pooled:
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
        height, width = sample.shape
        return x[:, 0, :height, :width].flatten(1)[:, sample.pixel]

    def channels(self, sample: Sample, genes: Tensor, visible: Tensor | None) -> Tensor:
        image, tissue = sample.image(sample.maps[0][genes].float()), sample.image(torch.ones(1, len(sample.pixel)))
        image = image if visible is None else image * visible
        smooth = [gaussian(image, s) / gaussian(tissue, s).clamp(min=1e-3) * tissue for s in SCALES]
        smooth = [v / (v.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-3) for v in smooth]
        if not self.uses_components:
            return torch.cat([image.clamp(*CLIP), *smooth, torch.zeros(len(image), 2, *sample.shape)], dim=1)
        # The map of the direction contains the masked patches.
        own = sample.reconstruct(sample.u[genes] * float(visible is None))
        predicted = sample.reconstruct(sample.shift[genes])
        return torch.cat([image.clamp(*CLIP), *smooth, own, predicted], dim=1)

    def unet(self, x: Tensor, condition: Tensor) -> Tensor:
        def block(i: int, x: Tensor) -> Tensor:
            scale, shift = self.modulations[i](condition)[..., None, None].chunk(2, dim=1)
            return F.gelu(self.convolutions[i](x) * (1 + scale) + shift)

        x = F.pad(x, (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        full = block(1, block(0, x))
        half = block(2, F.avg_pool2d(full, 2))
        quarter = block(3, F.avg_pool2d(half, 2))
        half = block(4, torch.cat([F.interpolate(quarter, scale_factor=2), half], dim=1))
        result: Tensor = self.last(block(5, torch.cat([F.interpolate(half, scale_factor=2), full], dim=1)))
        return result

    def reconstruction_loss(self, sample: Sample, genes: Tensor) -> Tensor:
        """Mean squared error of the maps of the second half, from maps of the first half with masked patches."""
        height, width = sample.shape
        patches = torch.rand(len(genes), 1, -(-height // PATCH), -(-width // PATCH)) > PATCH_SHARE
        visible = F.interpolate(patches.float(), scale_factor=PATCH)[:, :, :height, :width]
        return (self.denoise(sample, genes, visible) - sample.maps[1][genes].float().clamp(*CLIP)).square().mean()


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Images (B, 1, H, W) smoothed with a Gaussian, without normalization at borders."""
    radius = int(np.ceil(2.5 * sigma))
    kernel = torch.softmax(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2, dim=0)
    across = F.conv2d(images, kernel.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(across, kernel.view(1, 1, -1, 1), padding=(radius, 0))


def correlation(x: Tensor, y: Tensor, dim: int) -> Tensor:
    """Pearson correlation along a dimension."""
    x, y = (v - v.mean(dim=dim, keepdim=True) for v in (x, y))
    return (x * y).sum(dim) / ((x * x).sum(dim) * (y * y).sum(dim)).clamp(min=1e-12).sqrt()


def off_diagonal(cosines: Tensor) -> Tensor:
    """Off-diagonal elements (n, n - 1) of a matrix (n, n)."""
    n = len(cosines)
    return cosines.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


Network = TypeVar("Network", bound=PriorEncoder)


def fit(
    build: Callable[[], Network], samples: Sequence[Sample], seconds: float, *, batch: int, reliability: bool = True
) -> Network:
    """Train a network to predict the cosines of the second half from the first half of other sections.

    The loss is the negative correlation of cosines over all pairs of a batch of genes, and over the pairs of each
    gene.
    """
    torch.manual_seed(0)
    model, rng, start, share, step = build(), np.random.default_rng(0), time.monotonic(), 0.0, 0
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    while share < 1:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * (1 - share)
        sample = samples[int(rng.integers(len(samples)))]
        genes = torch.from_numpy(rng.choice(len(sample.u), min(batch, len(sample.u)), replace=False))
        if share < model.pretraining:
            loss = model.reconstruction_loss(sample, genes)
        else:
            z = F.normalize(model(sample, genes), dim=1)
            scaled = z * model.reliability(sample, genes) if reliability else z
            own, other = (off_diagonal(x @ x.T) for x in (scaled, sample.second[genes]))
            loss = -correlation(own.flatten(), other.flatten(), 0) - correlation(own, other, 1).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        share, step = (time.monotonic() - start) / seconds, step + 1
    return model


@torch.inference_mode()
def apply(model: PriorEncoder, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (G, D) and reliabilities (G,) of all genes."""
    parts = torch.arange(len(sample.u)).split(256)
    z = torch.cat([model(sample, genes) for genes in parts])
    return z.numpy(), model.reliability(sample, torch.arange(len(z)))[:, 0].numpy()
