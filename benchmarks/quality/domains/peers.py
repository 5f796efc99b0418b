"""Published methods for tissue domains, with the settings of their documentation, for a given number of domains.

For Leiden clustering, the resolution that gives this number is found by bisection. The documentation of STAGATE and
GraphST clusters by mclust's model EEE, in R; a tied-covariance Gaussian mixture is the
same model.
"""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import scanpy as sc
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from ..peers.host import borrow, quiet, section_of

STEPS = 20

REFINED = 2000


def normalized(adata: ad.AnnData, n_genes: int, flavor: str = "seurat") -> ad.AnnData:
    """Log-normalized counts of the highly variable genes."""
    section = section_of(adata)
    sc.pp.filter_genes(section, min_cells=3)
    sc.pp.normalize_total(section)
    sc.pp.log1p(section)
    sc.pp.highly_variable_genes(section, n_top_genes=min(n_genes, section.n_vars), flavor=flavor)
    return section[:, section.var["highly_variable"]].copy()


def leiden(section: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """Leiden labels on the neighbor graph of a section, at the resolution that gives about k clusters."""
    low, high, best = 0.01, 4.0, None
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        sc.tl.leiden(section, resolution=middle, random_state=seed, flavor="igraph", n_iterations=-1, directed=False)
        label = section.obs["leiden"].cat.codes.to_numpy()
        n = label.max() + 1
        if best is None or abs(n - k) < abs(best.max() + 1 - k):
            best = label
        if n == k:
            break
        low, high = (middle, high) if n < k else (low, middle)
    assert best is not None
    return best


def banksy(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """BANKSY for domains (Singhal et al. 2024): λ = 0.8, 15 neighbors, one azimuthal moment, 20 PCs, Leiden."""
    start = borrow("banksy.initialize_banksy", "pip install pybanksy==1.3.5")
    embed = borrow("banksy.embed_banksy", "pip install pybanksy==1.3.5")
    pca = borrow("banksy_utils.umap_pca", "pip install pybanksy==1.3.5")
    section = normalized(adata, 2000)
    section.X = np.asarray(section.X.toarray())
    section.obs["x"], section.obs["y"] = section.obsm["spatial"].T
    with quiet():
        matrices = start.initialize_banksy(
            section, ("x", "y", "spatial"), 15, nbr_weight_decay="scaled_gaussian", max_m=1, plt_edge_hist=False,
            plt_nbr_weights=False, plt_agf_angles=False, plt_theta=False,
        )  # fmt: skip
        matrices, _ = embed.generate_banksy_matrix(section, matrices, [0.8], 1, verbose=False)
        pca.pca_umap(matrices, pca_dims=[20], plt_remaining_var=False, add_umap=False)
        points = matrices["scaled_gaussian"][0.8]["adata"].obsm["reduced_pc_20"]
        graph = ad.AnnData(np.zeros((len(points), 1), dtype=np.float32), obsm={"X": points})
        sc.pp.neighbors(graph, n_neighbors=50, use_rep="X", random_state=seed)
        return leiden(graph, k, seed)


def spatial_leiden(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """SpatialLeiden (Müller-Bötticher et al. 2025): 30 PCs of HVGs, ten spatial neighbors, its resolution search."""
    package = borrow("spatialleiden", "pip install spatialleiden==0.4.0")
    squidpy = borrow("squidpy", "pip install squidpy==1.8.2")
    section = normalized(adata, 3000)
    with quiet():
        sc.pp.pca(section, n_comps=30, random_state=seed)
        sc.pp.neighbors(section, random_state=seed)
        squidpy.gr.spatial_neighbors(section, coord_type="generic", n_neighs=10)
        section.obsp["spatial_connectivities"] = package.distance2connectivity(section.obsp["spatial_distances"])
        package.search_resolution(
            section, k, latent_kwargs={"random_state": seed}, spatial_kwargs={"layer_ratio": 1.8, "random_state": seed}
        )
    return section.obs["spatialleiden"].astype("category").cat.codes.to_numpy()


def stagate(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """STAGATE (Dong & Zhang 2022): 3,000 HVGs, six spatial neighbors, 1,000 epochs, mixture of model EEE."""
    package = borrow("STAGATE_pyG", "pip install stagate-modern==1.0.0.post1")
    section = normalized(adata, 3000)
    with quiet():
        package.Cal_Spatial_Net(section, k_cutoff=6, model="KNN", verbose=False)
        section = package.train_STAGATE(section, random_seed=seed, verbose=False, device="cpu")
    mixture = GaussianMixture(k, covariance_type="tied", n_init=5, random_state=seed)
    return mixture.fit_predict(section.obsm["STAGATE"].astype(float))


def spagcn(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """SpaGCN (Hu et al. 2021) without histology: p = 0.5, Louvain start, 200 epochs, refined by six neighbors."""
    package = borrow("SpaGCN", "pip install spagcn-modern==1.4.1")
    section = section_of(adata)
    xy = section.obsm["spatial"]
    seeds = {"r_seed": seed, "t_seed": seed, "n_seed": seed}
    with quiet():
        label = package.detect_spatial_domains_ez_mode(
            section, None, xy[:, 0], xy[:, 1], xy[:, 0], xy[:, 1], k, histology=False, **seeds
        )
        refined = package.spatial_domains_refinement_ez_mode(
            section.obs_names.tolist(), list(label), xy[:, 0], xy[:, 1], shape="hexagon"
        )
    return np.asarray(refined, dtype=int)


def graphst(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """GraphST (Long et al. 2023): 600 epochs, 20 PCs of its reconstruction, mixture of model EEE.

    Refined by 50 neighbors as in its tutorial of cortex layers; sections of fewer than 2,000 spots are not, as 50
    spots are whole regions of them.
    """
    package = borrow("GraphST.GraphST", "pip install graphst-modern==1.1.1.post3")
    utils = borrow("GraphST.utils", "pip install graphst-modern==1.1.1.post3")
    section = section_of(adata)
    with quiet():
        section = package.GraphST(section, random_seed=seed).train()
    points = PCA(n_components=20, random_state=seed).fit_transform(section.obsm["emb"].astype(float))
    label = GaussianMixture(k, covariance_type="tied", n_init=5, random_state=seed).fit_predict(points)
    section.obs["label"] = label
    if section.n_obs < REFINED:
        return label
    return np.array(utils.refine_label(section, 50, key="label")).astype(int)


PEERS: dict[str, Callable[[ad.AnnData, int, int], np.ndarray]] = {
    "BANKSY": banksy,
    "SpatialLeiden": spatial_leiden,
    "STAGATE": stagate,
    "SpaGCN": spagcn,
    "GraphST": graphst,
}
