"""Modules of genes: fits of the mixture from several starts, the number of modules, and the assignment of genes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.context import one_thread
from spacex.embedding.coordinates import clear_genes, strength_score
from spacex.embedding.expectation import Points, log_likelihood, posterior
from spacex.embedding.history import History
from spacex.embedding.mixture import StudentMixture, noise_nu
from spacex.embedding.student_t import Parameters, initial_parameters, log_noise
from spacex.stats import group_mean, l2_normalize

N_FOLDS = 2
MAX_GENES_FOR_SELECTION = 2000
MAX_NULL_GENES_FOR_SELECTION = 500
EM_ITERATIONS_FOR_SELECTION = 10
MIN_GAIN = 0.95
"""Share of the largest gain in held-out likelihood that the number of modules must reach."""
NEGLIGIBLE_GAIN = 0.5
"""Gain in held-out log likelihood per gene for which no modules are added. On simulated sections, where 5 % of the gain
is more, it has no effect; real patterns vary continuously, and the likelihood increases slowly with any number."""
GRID_RATIO = 1.4
MIN_SIZE_TO_STOP = 16
"""Larger numbers of modules are no longer tried when two in a row, from this one on, are not better."""
KMEANS_STARTS = 3
FIRST_EM_ITERATIONS = 8
"""EM iterations of every start; only the best start is continued."""
MAX_START_GENES = 4000
"""Number of random genes and null genes to which starts are fitted; the best is continued with all."""
MIN_MODULE_GENES = 4
MAX_FALSE_SHARE = 0.2
"""Modules with fewer genes, or clearly a larger share of genes without a pattern, are removed."""
MAX_REMOVALS = 3


class Assignment(NamedTuple):
    """Module (G,) of every gene, -1 for none, and the probability (G,) that this is right."""

    labels: np.ndarray
    probabilities: np.ndarray


def fit_modules(
    points: Points,
    n_modules: int,
    config: Config,
    seed: int,
    *,
    signal: Tensor,
    n_starts: int | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    device: torch.device | None = None,
    history: History | None = None,
) -> Parameters:
    """Fit the mixture, from the best of several K-means starts by likelihood.

    In a process group, K-means runs are distributed over processes and sums of EM over genes.

    Parameters
    ----------
    points
        All genes and null genes.
    n_modules
        Number of modules K.
    config, seed
        Settings and seed.
    signal
        (M,) share of each coordinate in the variance of the signal.
    n_starts
        Number of starts; `Config.em_starts` if None.
    group
        Processes that share the work.
    device
        Device of EM.
    history
        History to whose stage "mixture" the log likelihood in every iteration of the last fit is added.

    Returns
    -------
    The parameters, on the CPU.
    """
    seeds = derive_seeds(seed, config.em_starts if n_starts is None else n_starts)
    clear = clear_coordinates(points, signal, 4 * n_modules)
    with one_thread():
        local = [kmeans_means(clear, signal, n_modules, s) for s in seeds[group.shard(len(seeds))]]
        starts = group.all_gather(np.stack(local) if local else np.empty((0, n_modules, clear.shape[1])))
        nu = noise_nu(points, int(points.level.max()) + 1).to(device)
        initial = [initial_parameters(torch.from_numpy(c).to(device), signal.to(device), nu) for c in starts]
        if len(initial) > 1:
            sample = points.take(np.random.default_rng(seed).permutation(len(points.x))[:MAX_START_GENES])
            initial = [_best_start(sample.take(group.shard(len(sample.x))).to(device), initial, config, group)]
        shard = points.take(group.shard(len(points.x))).to(device)
        best = StudentMixture.from_config(config).fit(shard, initial[0], group=group)
    if history is not None:
        for iteration, objective in enumerate(best.objective_):
            history.add("mixture", iteration=iteration, objective=objective)
    return Parameters(*(value.cpu() for value in best.parameters_))


def _best_start(points: Points, starts: list[Parameters], config: Config, group: ProcessGroup) -> Parameters:
    """Return the parameters after a few iterations from the start with the highest likelihood."""
    fits = [
        StudentMixture.from_config(config, max_iterations=FIRST_EM_ITERATIONS).fit(points, start, group=group)
        for start in starts
    ]
    return max(fits, key=lambda fit: fit.objective_[-1]).parameters_


def clear_coordinates(points: Points, signal: Tensor, min_genes: int) -> np.ndarray:
    """Return the coordinates (N, M) of genes that clearly have a pattern; starts are computed from them."""
    score = strength_score(points.x, signal).numpy()
    clear = clear_genes(score, points.level.numpy(), points.is_null.numpy(), min_genes)
    coordinates: np.ndarray = points.x.numpy()[clear]
    return coordinates


def kmeans_means(x: np.ndarray, signal: Tensor, n_modules: int, seed: int) -> np.ndarray:
    """Return the mean coordinates (K, M) of clusters of points (N, M).

    K-means runs on directions weighted by the root of the signal.
    """
    directions = l2_normalize(x * np.sqrt(signal.numpy()))
    labels = KMeans(n_modules, n_init=KMEANS_STARTS, random_state=seed).fit_predict(directions)
    means: np.ndarray = group_mean(x.T, labels, n_modules).T
    return means


def derive_seeds(seed: int, n: int) -> list[int]:
    """Derive n seeds for scikit-learn from one seed."""
    return [int(value) for value in np.random.SeedSequence(seed).generate_state(n)]


def log_odds(points: Points, parameters: Parameters) -> Tensor:
    """Return the log likelihood ratio (N,) of the mixture to noise that resembles no module."""
    no_chance = parameters._replace(chance=torch.zeros_like(parameters.chance))
    return log_likelihood(points, parameters) - log_noise(points.x, points.level, no_chance)


def candidate_sizes(n_genes: int, max_modules: int) -> list[int]:
    """Return numbers of modules to compare, each about `GRID_RATIO` times the last, with at least four genes each."""
    largest = max(2, min(max_modules, n_genes // 4))
    n_steps = max(2, int(np.log(largest / 2) / np.log(GRID_RATIO)) + 2)
    return [int(k) for k in np.unique(np.rint(np.geomspace(2, largest, num=n_steps)).astype(int))]


def choose_n_modules(
    points: Points,
    config: Config,
    seed: int,
    history: History,
    *,
    signal: Tensor,
    group: ProcessGroup = SINGLE_PROCESS,
) -> int:
    """Choose the number of modules by the likelihood of held-out genes.

    See `smallest_sufficient`; 1 for too few genes. Scores are added to the stage "modules" of `history`. Only genes
    with a clear pattern are used.
    """
    rng = np.random.default_rng(seed)
    score, is_null = strength_score(points.x, signal).numpy(), points.is_null.numpy()
    clear = rng.permutation(clear_genes(score, points.level.numpy(), is_null, 8 * N_FOLDS))[:MAX_GENES_FOR_SELECTION]
    if len(clear) < 4 * N_FOLDS:
        return 1
    null_genes = rng.permutation(np.flatnonzero(is_null))[:MAX_NULL_GENES_FOR_SELECTION]
    quick = replace(config, em_iterations=min(config.em_iterations, EM_ITERATIONS_FOR_SELECTION))
    fold, results = np.arange(len(clear)) % N_FOLDS, dict[int, np.ndarray]()
    for k in candidate_sizes(len(clear) * (N_FOLDS - 1) // N_FOLDS, config.max_modules):
        gains = np.zeros(len(clear))
        # The fits are small: each process computes whole folds, and the sum collects the scores of all folds.
        for f in range(N_FOLDS)[group.shard(N_FOLDS)]:
            train = points.take(np.concatenate([clear[fold != f], null_genes]))
            parameters = fit_modules(train, k, quick, seed, signal=signal, n_starts=1)
            gains[fold == f] = log_odds(points.take(clear[fold == f]), parameters).numpy()
        results[k] = group.all_reduce(gains)
        history.add("modules", n_modules=k, score=float(results[k].mean()), standard_error=_standard_error(results[k]))
        sizes = list(results)
        best = max(sizes, key=lambda size: results[size].mean())
        if k >= MIN_SIZE_TO_STOP and len(sizes) - sizes.index(best) > 2:
            break
    return smallest_sufficient(np.array(sizes), np.array([results[size].mean() for size in sizes]))


def smallest_sufficient(sizes: np.ndarray, scores: np.ndarray) -> int:
    """Return the smallest number of modules with `MIN_GAIN` of the largest gain over the first of the sizes (n,).

    A number whose score is at most `NEGLIGIBLE_GAIN` below the largest is sufficient, too. Scores (n,) between the
    sizes are interpolated linearly in the logarithm of the size.
    """
    bound = scores.max() - max((1 - MIN_GAIN) * (scores.max() - scores[0]), NEGLIGIBLE_GAIN)
    i = int(np.argmax(scores >= bound))
    if i == 0:
        return int(sizes[0])
    position = (bound - scores[i - 1]) / (scores[i] - scores[i - 1])
    low, high = np.log(sizes[i - 1]), np.log(sizes[i])
    return int(np.ceil(np.exp(low + position * (high - low)) - 1e-9))


def _standard_error(values: np.ndarray) -> float:
    return float(values.std() / np.sqrt(len(values)))


def remove_unsupported(
    points: Points, parameters: Parameters, config: Config, group: ProcessGroup = SINGLE_PROCESS
) -> Parameters:
    """Remove modules with too few genes or too many null genes, and refit the others.

    The expected number of genes without a pattern in a module follows from the null genes in it.
    """
    is_null, level = points.is_null.numpy(), points.level.numpy()
    for _ in range(MAX_REMOVALS):
        labels = assign(posterior(points, parameters), config.min_module_prob).labels
        n_genes, n_null = (
            np.bincount(labels[(labels >= 0) & chosen], minlength=parameters.n_modules)
            for chosen in (~is_null, is_null)
        )
        weight = parameters.background.numpy()[level[~is_null]].sum() / max(is_null.sum(), 1)
        n_false = (n_null - np.sqrt(n_null)) * weight  # one standard error below the estimate
        supported = (n_genes >= MIN_MODULE_GENES) & (n_false <= MAX_FALSE_SHARE * n_genes)
        if supported.all() or not supported.any():
            break
        parameters = take_modules(parameters, np.flatnonzero(supported))
        with one_thread():
            mixture = StudentMixture.from_config(config, max_iterations=FIRST_EM_ITERATIONS)
            parameters = mixture.fit(points.take(group.shard(len(points.x))), parameters, group=group).parameters_
    return parameters


def take_modules(parameters: Parameters, index: np.ndarray) -> Parameters:
    """Return the parameters of selected modules, in the given order."""
    chosen = torch.from_numpy(index)
    weight, chance = parameters.log_weight[chosen], parameters.chance_module[chosen]
    return parameters._replace(
        log_weight=torch.log_softmax(weight, dim=0),
        mean=parameters.mean[chosen],
        mean_variance=parameters.mean_variance[chosen],
        chance_module=chance / chance.sum(),
    )


def assign(log_posterior: Tensor, min_probability: float) -> Assignment:
    """Assign every gene to its most probable module if the probability exceeds the bound, else to none."""
    probability = log_posterior.exp().numpy()
    module = probability[:, :-1].argmax(axis=1)
    best = probability[np.arange(len(module)), module]
    is_assigned = best > min_probability
    return Assignment(np.where(is_assigned, module, -1), np.where(is_assigned, best, probability[:, -1]))


def sort_by_evidence(points: Points, parameters: Parameters, min_probability: float) -> tuple[Parameters, Assignment]:
    """Sort the modules by evidence, the expected number of correctly assigned genes, largest first.

    Returns the sorted parameters, and the assignment (G,) of the genes, without null genes.
    """
    labels, probability = assign(
        posterior(points.take(np.flatnonzero(~points.is_null.numpy())), parameters), min_probability
    )
    assigned = labels >= 0
    evidence = np.bincount(labels[assigned], probability[assigned], minlength=parameters.n_modules)
    order = np.argsort(-evidence, kind="stable")
    position = np.append(np.argsort(order), -1)  # of a module in the new order; -1 stays
    return take_modules(parameters, order), Assignment(position[labels], probability)
