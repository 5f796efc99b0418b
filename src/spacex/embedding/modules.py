"""Modules of genes: a Student's t mixture on the directions of their embeddings, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import gamma
from sklearn.cluster import KMeans
from torch import Tensor

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.context import one_thread
from spacex.embedding.history import History
from spacex.embedding.mixture import Parameters, Prior, StudentMixture, e_step, start
from spacex.embedding.refinement.boosting import l2_normalize_tensor

FOLDS = 2
MAX_GENES_FOR_SELECTION = 2000
KMEANS_STARTS = 3
FIRST_ITERATIONS = 20
STARTS_TO_CHOOSE = 3  # one bad start at the true number is enough to choose another


@dataclass(frozen=True)
class Assignment:
    """Module of every gene: its number (G,), -1 for the background, and the posterior probability (G,) of that."""

    module: np.ndarray
    probability: np.ndarray


def null_probability(norm: np.ndarray, shape: float) -> np.ndarray:
    """How often a gene without a pattern has a norm (G,) this large, within (0, 1).

    The squared norm of genes with shuffled pixels has mean one and a gamma distribution with the given shape.
    """
    return np.clip(gamma.sf(norm.astype(np.float64) ** 2, shape, scale=1.0 / shape), 1e-12, 1 - 1e-3)


def clear_genes(null: np.ndarray, least: int) -> np.ndarray:
    """Numbers of the genes that surely have a pattern: null probability below .01, or else the `least` lowest."""
    clear = np.flatnonzero(null < 0.01)
    return clear if len(clear) >= least else np.argsort(null, kind="stable")[:least]


def background_weight(null: np.ndarray) -> float:
    """Share of genes without a pattern: twice that of the null probabilities above one half (Storey 2002, eq. 6)."""
    return float(np.clip(2 * np.mean(null > 0.5), 0.02, 0.95))


def fit_modules(
    z: np.ndarray,
    null: np.ndarray,
    n_modules: int,
    config: Config,
    seed: int,
    *,
    starts: int | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    device: torch.device | None = None,
) -> StudentMixture:
    """Mixture fitted to embeddings (G, D), whose genes look like noise with probability `null` (G,).

    The best of several fits (`Config.em_starts` unless given), by its log posterior. Every process of a process
    group knows all
    genes; the runs of K-means are shared among them, and the sums of EM by genes. EM runs on `device`; its parameters
    come back to the processor.
    """
    x = l2_normalize_tensor(torch.from_numpy(z).double())
    evidence = torch.from_numpy(null).to(device)
    drawn = seeds(seed, config.em_starts if starts is None else starts)
    # The first centres come from genes that surely have a pattern: others would be given modules of their own.
    clear = x.numpy()[clear_genes(null, 4 * n_modules)]
    with one_thread():
        found = [_centers(clear, n_modules, start_seed) for start_seed in drawn[group.shard(len(drawn))]]
        centers = group.all_gather(np.stack(found) if found else np.empty((0, n_modules, x.shape[1])))
        x, weight = x.to(device), background_weight(null)
        begun = [_begin(x, torch.from_numpy(first).to(device), evidence, weight, config, group) for first in centers]
        best = max(begun, key=lambda mixture: mixture.objective_[-1])
        own = group.shard(len(x))
        best.resume(x[own], evidence[own], config.em_iterations, group=group)
    best.parameters_ = Parameters(*(value.cpu() for value in best.parameters_))
    return best


def seeds(seed: int, n: int) -> list[int]:
    """Seeds (n,) for scikit-learn that follow from one."""
    return [int(value) for value in np.random.SeedSequence(seed).generate_state(n)]


def _centers(clear: np.ndarray, n_modules: int, seed: int) -> np.ndarray:
    """Centres (K, D) of K-means on the directions of clear genes."""
    return KMeans(n_modules, n_init=KMEANS_STARTS, random_state=seed).fit(clear).cluster_centers_.astype(np.float64)


def _begin(
    x: Tensor, centers: Tensor, null: Tensor, background: float, config: Config, group: ProcessGroup
) -> StudentMixture:
    """A few iterations of a mixture on directions `x` (G, D) from given centres (K, D) and a background's weight."""
    mixture = unfitted(config)
    first, own = start(centers, x, background=background), group.shard(len(x))
    few = min(FIRST_ITERATIONS, config.em_iterations)
    return mixture.fit(x[own], first, null[own], iterations=few, group=group)


def unfitted(config: Config) -> StudentMixture:
    """A mixture with the settings of the method."""
    return StudentMixture(
        scale=config.covariance_type,
        prior=Prior(concentration=config.concentration),
        nu_range=config.nu_range,
        iterations=config.em_iterations,
        tolerance=config.em_tolerance,
    )


def posterior(mixture: StudentMixture, z: np.ndarray, null: np.ndarray) -> Tensor:
    """Log posterior (G, K + 1) of modules and background for embeddings (G, D) and null probabilities (G,)."""
    return mixture.log_resp(l2_normalize_tensor(torch.from_numpy(z).double()), torch.from_numpy(null))


def assign(log_resp: Tensor, unassigned: float) -> Assignment:
    """The most probable module of every gene; none where the background's posterior is above `unassigned`."""
    chance = log_resp.exp().numpy()
    module = chance[:, :-1].argmax(axis=1)
    background = chance[:, -1] > unassigned
    probability = np.where(background, chance[:, -1], chance[np.arange(len(module)), module])
    return Assignment(np.where(background, -1, module), probability)


def relabel_by_size(mixture: StudentMixture, z: np.ndarray, null: np.ndarray, unassigned: float) -> StudentMixture:
    """The same mixture with its modules numbered from the one with most genes to the one with fewest."""
    module = assign(posterior(mixture, z, null), unassigned).module
    parameters = mixture.parameters_
    size = np.bincount(module[module >= 0], minlength=len(parameters.nu) - 1)
    order = torch.from_numpy(np.append(np.argsort(-size, kind="stable"), len(size)))
    mixture.parameters_ = type(parameters)(*(value[order] for value in parameters))
    return mixture


def candidates(n_genes: int, most: int) -> list[int]:
    """Numbers of modules to try: in steps of about two fifths, at least four genes a module."""
    most = max(2, min(most, n_genes // 4))
    steps = np.unique(np.rint(np.geomspace(2, most, num=max(2, int(np.log(most / 2) / np.log(1.4)) + 2))).astype(int))
    return [int(k) for k in steps]


def choose_n_modules(
    z: np.ndarray, null: np.ndarray, config: Config, seed: int, history: History, group: ProcessGroup = SINGLE_PROCESS
) -> int:
    """Number of modules that best predicts held-out genes.

    Genes are split into folds; a mixture fitted to the others gives each fold its log likelihood. The smallest number
    within one standard error of the best is taken (Breiman et al. 1984, section 3.4.3).
    """
    rng = np.random.default_rng(seed)
    # Genes without a pattern say nothing about the number of patterns.
    clear = rng.permutation(clear_genes(null, 8 * FOLDS))[:MAX_GENES_FOR_SELECTION]
    if len(clear) < 2 * FOLDS:
        return 1  # too few to hold any out
    fold = np.arange(len(clear)) % FOLDS
    quick = replace(config, em_iterations=min(config.em_iterations, 25), em_tolerance=max(config.em_tolerance, 1e-4))
    x = l2_normalize_tensor(torch.from_numpy(z).double())
    tried: list[tuple[int, float, float]] = []
    for k in candidates(len(clear) * (FOLDS - 1) // FOLDS, config.max_modules):
        scores = np.zeros(len(clear))
        # The fits are small: a fold is one process's, whole, and the sum brings the scores of all folds together.
        for f in range(FOLDS)[group.shard(FOLDS)]:
            train, test = clear[fold != f], clear[fold == f]
            mixture = fit_modules(z[train], null[train], k, quick, seed, starts=STARTS_TO_CHOOSE)
            scores[fold == f] = e_step(x[test], mixture.parameters_, torch.from_numpy(null[test]))[1].numpy()
        scores = group.all_reduce(scores)
        tried.append((k, float(scores.mean()), float(scores.std() / np.sqrt(len(scores)))))
        history.add("modules", n_modules=k, score=tried[-1][1], standard_error=tried[-1][2])
        best = max(tried, key=lambda row: row[1])
        if len(tried) - tried.index(best) > 2:
            break
    return min(k for k, score, _ in tried if score >= best[1] - best[2])
