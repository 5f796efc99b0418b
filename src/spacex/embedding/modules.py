"""Modules of genes: a Student's t mixture on the directions of their embeddings, and the choice of its size."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import gamma
from sklearn.cluster import KMeans
from torch import Tensor

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.context import one_thread
from spacex.embedding.history import History
from spacex.embedding.mixture import StudentMixture
from spacex.embedding.student_t import Parameters, e_step, initial_parameters, l2_normalize_tensor

N_FOLDS = 2
MAX_GENES_FOR_SELECTION = 2000
MAX_EM_ITERATIONS_FOR_SELECTION = 25
MIN_TOL_FOR_SELECTION = 1e-4
N_STARTS_FOR_SELECTION = 3
"""With one start, a bad start at the true number of modules selected another number in two of nine simulations."""
KMEANS_STARTS = 3
FIRST_EM_ITERATIONS = 20
"""EM iterations of every start; only the best start is continued."""
MAX_CLEAR_PVALUE = 0.01
"""Null probability below which a gene clearly has a pattern."""


class Assignment(NamedTuple):
    """Module (G,) of every gene, -1 for the background, and its posterior probability (G,)."""

    labels: np.ndarray
    probabilities: np.ndarray


def null_probability(norm: np.ndarray, shape: float) -> np.ndarray:
    """Return the p-value (G,), clipped to (0, 1), of embedding norms (G,) for genes without a pattern.

    The squared norm of genes with permuted pixels has mean one and a gamma distribution with the given shape.
    """
    return np.clip(gamma.sf(norm.astype(np.float64) ** 2, shape, scale=1.0 / shape), 1e-12, 1 - 1e-3)


def clear_genes(null: np.ndarray, min_genes: int) -> np.ndarray:
    """Return the indices of genes that clearly have a pattern, or of the `min_genes` with the lowest p-values."""
    clear = np.flatnonzero(null < MAX_CLEAR_PVALUE)
    return clear if len(clear) >= min_genes else np.argsort(null, kind="stable")[:min_genes]


def background_weight(null: np.ndarray) -> float:
    """Estimate the fraction of genes without a pattern: twice that of p-values above 0.5 (Storey 2002, eq. 6)."""
    return float(np.clip(2 * np.mean(null > 0.5), 0.02, 0.95))


def fit_modules(
    z: np.ndarray,
    null: np.ndarray,
    n_modules: int,
    config: Config,
    seed: int,
    *,
    n_starts: int | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    device: torch.device | None = None,
) -> StudentMixture:
    """Fit the mixture to embeddings, from the best of several K-means starts by log posterior.

    In a process group, K-means runs are distributed over processes and sums of EM over genes.

    Parameters
    ----------
    z
        (G, D) embeddings of all genes.
    null
        (G,) null probabilities.
    n_modules
        Number of modules.
    config, seed
        Settings and seed.
    n_starts
        Number of starts; `Config.em_starts` if None.
    group
        Processes that share the work.
    device
        Device of EM.

    Returns
    -------
    The fitted mixture, with parameters on the CPU.
    """
    x = l2_normalize_tensor(torch.from_numpy(z).double())
    null_tensor = torch.from_numpy(null).to(device)
    start_seeds = derive_seeds(seed, config.em_starts if n_starts is None else n_starts)
    # Centers are initialized on genes with a clear pattern; other genes would form separate modules.
    clear = x.numpy()[clear_genes(null, 4 * n_modules)]
    with one_thread():
        local_centers = [_kmeans_centers(clear, n_modules, s) for s in start_seeds[group.shard(len(start_seeds))]]
        no_centers = np.empty((0, n_modules, x.shape[1]))
        all_centers = group.all_gather(np.stack(local_centers) if local_centers else no_centers)
        x, weight, shard = x.to(device), background_weight(null), group.shard(len(x))
        n_iterations = min(FIRST_EM_ITERATIONS, config.em_iterations)
        mixtures = []
        for centers in all_centers:
            initial = initial_parameters(torch.from_numpy(centers).to(device), x, background=weight)
            mixture = StudentMixture.from_config(config)
            mixtures.append(mixture.fit(x[shard], initial, null_tensor[shard], iterations=n_iterations, group=group))
        best = max(mixtures, key=lambda mixture: mixture.objective_[-1])
        best.resume(x[shard], null_tensor[shard], config.em_iterations, group=group)
    best.parameters_ = Parameters(*(value.cpu() for value in best.parameters_))
    return best


def derive_seeds(seed: int, n: int) -> list[int]:
    """Derive n seeds for scikit-learn from one seed."""
    return [int(value) for value in np.random.SeedSequence(seed).generate_state(n)]


def _kmeans_centers(x: np.ndarray, n_modules: int, seed: int) -> np.ndarray:
    """Return K-means centers (K, D) of points (N, D)."""
    return KMeans(n_modules, n_init=KMEANS_STARTS, random_state=seed).fit(x).cluster_centers_.astype(np.float64)


def posterior(parameters: Parameters, z: np.ndarray, null: np.ndarray) -> Tensor:
    """Return the log posterior (G, K + 1) of embeddings (G, D) with null probabilities (G,); the background is last."""
    return e_step(l2_normalize_tensor(torch.from_numpy(z).double()), parameters, torch.from_numpy(null))[0]


def assign(log_resp: Tensor, background_threshold: float) -> Assignment:
    """Assign every gene to its most probable module, or to none if the background's posterior exceeds the threshold."""
    probability = log_resp.exp().numpy()
    module = probability[:, :-1].argmax(axis=1)
    is_background = probability[:, -1] > background_threshold
    label_probability = np.where(is_background, probability[:, -1], probability[np.arange(len(module)), module])
    return Assignment(np.where(is_background, -1, module), label_probability)


def assign_modules(parameters: Parameters, z: np.ndarray, null_shape: float, background_threshold: float) -> Assignment:
    """Assign genes to modules by their embeddings (G, D) only; null probabilities follow from the norms."""
    null = null_probability(np.linalg.norm(z, axis=1), null_shape)
    return assign(posterior(parameters, z, null), background_threshold)


def sort_modules_by_size(
    parameters: Parameters, z: np.ndarray, null: np.ndarray, background_threshold: float
) -> Parameters:
    """Return the parameters with modules in decreasing order of their number of genes."""
    labels = assign(posterior(parameters, z, null), background_threshold).labels
    size = np.bincount(labels[labels >= 0], minlength=len(parameters.nu) - 1)
    order = torch.from_numpy(np.append(np.argsort(-size, kind="stable"), len(size)))
    return Parameters(*(value[order] for value in parameters))


def candidate_sizes(n_genes: int, max_modules: int) -> list[int]:
    """Return numbers of modules to compare, each about 1.4 times the last, with at least four genes per module."""
    largest = max(2, min(max_modules, n_genes // 4))
    n_steps = max(2, int(np.log(largest / 2) / np.log(1.4)) + 2)
    return [int(k) for k in np.unique(np.rint(np.geomspace(2, largest, num=n_steps)).astype(int))]


def choose_n_modules(
    z: np.ndarray, null: np.ndarray, config: Config, seed: int, history: History, group: ProcessGroup = SINGLE_PROCESS
) -> int:
    """Choose the number of modules by cross-validated log likelihood.

    Returns the smallest number within one standard error of the best (Breiman et al. 1984, section 3.4.3). Scores are
    added to the stage "modules" of `history`. Only genes with a clear pattern are used.
    """
    rng = np.random.default_rng(seed)
    clear = rng.permutation(clear_genes(null, 8 * N_FOLDS))[:MAX_GENES_FOR_SELECTION]
    if len(clear) < 2 * N_FOLDS:
        return 1
    fold = np.arange(len(clear)) % N_FOLDS
    quick = replace(
        config,
        em_iterations=min(config.em_iterations, MAX_EM_ITERATIONS_FOR_SELECTION),
        em_tolerance=max(config.em_tolerance, MIN_TOL_FOR_SELECTION),
    )
    x = l2_normalize_tensor(torch.from_numpy(z).double())
    results: list[tuple[int, float, float]] = []  # number of modules, mean log likelihood, standard error
    for k in candidate_sizes(len(clear) * (N_FOLDS - 1) // N_FOLDS, config.max_modules):
        scores = np.zeros(len(clear))
        # The fits are small: each process computes whole folds, and the sum collects the scores of all folds.
        for f in range(N_FOLDS)[group.shard(N_FOLDS)]:
            train, test = clear[fold != f], clear[fold == f]
            mixture = fit_modules(z[train], null[train], k, quick, seed, n_starts=N_STARTS_FOR_SELECTION)
            scores[fold == f] = e_step(x[test], mixture.parameters_, torch.from_numpy(null[test]))[1].numpy()
        scores = group.all_reduce(scores)
        results.append((k, float(scores.mean()), float(scores.std() / np.sqrt(len(scores)))))
        history.add("modules", n_modules=k, score=results[-1][1], standard_error=results[-1][2])
        best = max(results, key=lambda row: row[1])
        if len(results) - results.index(best) > 2:
            break
    return min(k for k, score, _ in results if score >= best[1] - best[2])
