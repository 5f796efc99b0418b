"""Maps of the modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.get._embedded_images import embedded_images
from spacex.get._module_genes import module_genes, module_sizes
from spacex.imaging.smoothing import Smoother


@dataclass(frozen=True)
class ModuleMaps:
    """Maps of one module: smoothed residuals, standardized to mean 0 and standard deviation 1 over the pixels.

    Attributes
    ----------
    name
        Name of the module.
    genes
        (n,) positions of its genes, as in `spacex.get.module_genes`.
    labels
        Names of the genes in `maps`.
    mean
        (S,) mean map of the first 50 genes, NaN for spots without a pixel.
    maps
        (B, S) maps of the first genes, NaN for spots without a pixel.

    Examples
    --------
    >>> import numpy as np
    >>> import spacex as sx
    >>> sx.get.ModuleMaps("0", np.array([4, 2]), ["a"], mean=np.zeros(3), maps=np.zeros((1, 3))).maps.shape
    (1, 3)
    """

    MAX_MEAN_GENES: ClassVar[int] = 50

    name: str
    genes: np.ndarray
    labels: list[str]
    mean: np.ndarray
    maps: np.ndarray


def module_maps(adata: AnnData, modules: Sequence[str | int] | None = None, *, n_genes: int = 4) -> list[ModuleMaps]:
    """Return the mean map of each module and the maps of its strongest genes.

    A map is the Pearson residuals of a gene, smoothed by a Gaussian, with the settings of the embedding
    (`Config.theta`, `Config.sigma`), so that it shows what the model sees.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    modules
        Names of modules; by default all, the largest first.
    n_genes
        Number of genes with a map for each module, 50 at most.

    Returns
    -------
    One `ModuleMaps` for each module.

    Raises
    ------
    InputError
        If there are no modules or pixels, or a module does not exist.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> [maps.maps.shape for maps in sx.get.module_maps(adata, ["0", "1"], n_genes=3)]
    [(3, 300), (3, 300)]
    """
    sizes = module_sizes(adata)
    check_int(n_genes, name="n_genes", low=0, high=ModuleMaps.MAX_MEAN_GENES)
    names = list(sizes.index) if modules is None else check_names(modules, name="modules")
    unknown = [name for name in names if name not in sizes]
    if unknown:
        listed = ", ".join(sorted(sizes.index, key=lambda name: (len(name), name)))
        raise InputError(f"there is no module {', '.join(unknown)}; modules are {listed}")
    images = embedded_images(adata)
    smoother = Smoother(images.layout, _adata.read_config(adata).sigma)
    pixel = _adata.read_pixel_of_spot(adata, images)
    labels = _adata.read_gene_names(adata).labels
    maps_of_modules = []
    for name in names:
        genes = module_genes(adata, name)
        maps = smoother.apply(images.residuals(genes[: ModuleMaps.MAX_MEAN_GENES]))
        maps -= maps.mean(axis=1, keepdims=True)
        maps /= np.maximum(maps.std(axis=1, keepdims=True), 1e-12)
        at_spots = _adata.values_at_spots(np.vstack([maps.mean(axis=0), maps[:n_genes]]).T, pixel).T
        maps_of_modules.append(ModuleMaps(name, genes, list(labels[genes[:n_genes]]), at_spots[0], at_spots[1:]))
    return maps_of_modules
