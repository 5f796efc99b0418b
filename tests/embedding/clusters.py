"""Clustered points and mixture parameters for the tests of mixtures."""

import numpy as np
import torch

from spacex.embedding.student_t import initial_parameters


def random_parameters(k=3, d=4, seed=0, nu=5.0):
    """Return parameters of k modules in d dimensions that differ in scale and degrees of freedom."""
    rng = np.random.default_rng(seed)
    centers = torch.from_numpy(rng.normal(size=(k, d)))
    first = initial_parameters(centers, torch.from_numpy(rng.normal(size=(50, d))))
    nus = torch.cat([torch.linspace(nu, 3 * nu, k, dtype=torch.float64), first.nu[-1:]])
    return first._replace(log_scale=torch.log(torch.linspace(0.1, 2.0, k + 1, dtype=torch.float64)), nu=nus)


def clusters(n=400, d=6, k=3, nu=6.0, scale=0.05, seed=0):
    """Return points (n, d) of k Student clusters, their labels and the centers."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, d))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    label = rng.integers(k, size=n)
    tail = np.sqrt(nu / rng.chisquare(nu, size=(n, 1)))
    return torch.from_numpy(centers[label] + scale * tail * rng.normal(size=(n, d))), label, torch.from_numpy(centers)
