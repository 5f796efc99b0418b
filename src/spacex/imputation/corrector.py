"""Learned correction of linearly predicted genes: a generator with a memory of panel genes, trained with a critic.

The generator maps the reference vector and the linear prediction of a gene to the residual of that prediction, in the
leading principal components of the target cells. It attends to a memory of panel genes whose keys are reference
vectors and whose values are residuals. The critic is a Wasserstein critic with gradient penalty (Gulrajani et al. 2017,
eq. 3) between measured and corrected coefficients. Held-out panel genes stop the training; if they do not gain, the
correction is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from spacex.imputation.panel import Panel
from spacex.imputation.params import ImputationParams
from spacex.stats import l2_normalize

ADAM_BETAS = (0.5, 0.9)
ATTENTION_SCALE_INIT = 4.0


@dataclass(frozen=True)
class GeneBatch:
    """Genes to correct.

    Attributes
    ----------
    keys
        (G, D) vectors of the genes in the reference.
    linear
        (G, K) linear predictions, as coefficients of components of the target cells.
    measured
        (G, K) coefficients of the measured values; None for unmeasured genes.
    """

    keys: np.ndarray
    linear: np.ndarray
    measured: np.ndarray | None = None

    def take(self, index: np.ndarray) -> GeneBatch:
        """The genes at some positions."""
        return GeneBatch(self.keys[index], self.linear[index], None if self.measured is None else self.measured[index])


Memory = tuple[torch.Tensor, torch.Tensor]
"""Keys (M, D) and residuals (M, K) of genes."""


class Generator(nn.Module):
    """Residuals of genes, as the sum of a memory read-out and a perceptron."""

    def __init__(self, n_keys: int, n_components: int, params: ImputationParams):
        super().__init__()
        self.query = nn.Linear(n_keys, params.hidden_size, bias=False)
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.memory_gate = nn.Parameter(torch.tensor(params.memory_gate_init))
        output = nn.Linear(params.hidden_size, n_components)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.perceptron = nn.Sequential(nn.Linear(n_keys + n_components, params.hidden_size), nn.GELU(), output)

    def forward(self, keys: torch.Tensor, linear: torch.Tensor, memory: Memory, *, leave_one_out: bool) -> torch.Tensor:
        """Residuals (G, K). `leave_one_out`: the genes are those of the memory, and none attends to itself."""
        memory_keys, residuals = memory
        query = nn.functional.normalize(self.query(keys), dim=1)
        scale = ATTENTION_SCALE_INIT * self.log_sharpness.exp()
        logits = query @ nn.functional.normalize(self.query(memory_keys), dim=1).T * scale
        if leave_one_out:
            logits = logits.masked_fill(torch.eye(len(keys), dtype=torch.bool, device=keys.device), -torch.inf)
        read_out = torch.softmax(logits, dim=1) @ residuals
        return torch.sigmoid(self.memory_gate) * read_out + self.perceptron(torch.cat([keys, linear], dim=1))


class Critic(nn.Module):
    """Scores (G, 1) of coefficients (G, K) of genes with keys (G, D)."""

    def __init__(self, n_keys: int, n_components: int, params: ImputationParams):
        super().__init__()
        hidden = nn.Linear(n_keys + n_components, params.hidden_size)
        self.score = nn.Sequential(hidden, nn.LeakyReLU(0.2), nn.Linear(params.hidden_size, 1))

    def forward(self, keys: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
        """Scores (G, 1)."""
        return self.score(torch.cat([keys, coefficients], dim=1))


class ResidualCorrector:
    """Corrector of linear predictions, trained on panel genes.

    Parameters
    ----------
    params
        Settings.
    seed
        Seed of the held-out genes, the initial weights and the gradient penalty.
    device
        Device of the training.
    progress
        Whether to show progress on stderr.

    Attributes
    ----------
    linear_cosine_, corrected_cosine_
        Mean cosine of linear and of corrected coefficients with the measured ones, over held-out panel genes. If the
        second is not larger, `correct` returns zeros.
    """

    def __init__(self, params: ImputationParams, *, seed: int, device: torch.device, progress: bool = False):
        self.params, self.seed, self.device, self.progress = params, seed, device, progress

    def fit(self, panel: GeneBatch) -> ResidualCorrector:
        """Train on panel genes, whose linear predictions must be out-of-fold."""
        assert panel.measured is not None
        self._center, self._scale = panel.keys.mean(axis=0), float(panel.keys.std()) or 1.0
        order = np.random.default_rng(self.seed).permutation(len(panel.keys))
        n_held_out = max(2, round(self.params.holdout_fraction * len(order)))
        training, held_out = panel.take(order[n_held_out:]), panel.take(order[:n_held_out])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            sizes = panel.keys.shape[1], panel.linear.shape[1]
            self.generator_ = Generator(*sizes, self.params).to(self.device)
            critic = Critic(*sizes, self.params).to(self.device)
            keys, linear = self._tensors(training)
            measured = torch.as_tensor(training.measured, dtype=torch.float32, device=self.device)
            self.memory_ = keys, measured - linear
            self.linear_cosine_ = _mean_cosine(held_out.linear, held_out.measured)
            self.corrected_cosine_ = self._train(critic, keys, linear, held_out)
        return self

    def correct(self, genes: GeneBatch, *, rounds: int = 1, max_cosine: np.ndarray | None = None) -> np.ndarray:
        """Corrections (G, K) to add to the linear coefficients.

        With several `rounds`, genes with the largest `max_cosine` (G,) to the panel are corrected first and then join
        the memory.
        """
        corrections = np.zeros_like(genes.linear)
        if self.corrected_cosine_ <= self.linear_cosine_:
            return corrections
        order = np.arange(len(corrections)) if max_cosine is None else np.argsort(-max_cosine, kind="stable")
        memory = self.memory_
        for index in np.array_split(order, max(1, min(rounds, len(order)))):
            keys, linear = self._tensors(genes.take(index))
            with torch.no_grad():
                residuals = self.generator_(keys, linear, memory, leave_one_out=False)
            corrections[index] = residuals.cpu().numpy()
            memory = torch.cat([memory[0], keys]), torch.cat([memory[1], residuals])
        return corrections

    def _tensors(self, genes: GeneBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardized keys and linear coefficients on the device."""
        arrays = ((genes.keys - self._center) / self._scale, genes.linear)
        keys, linear = (torch.as_tensor(values, dtype=torch.float32, device=self.device) for values in arrays)
        return keys, linear

    def _train(self, critic: Critic, keys: torch.Tensor, linear: torch.Tensor, held_out: GeneBatch) -> float:
        """Train until held-out genes stop gaining; keep the best generator and return its mean held-out cosine."""
        params, generator = self.params, self.generator_
        measured = self.memory_[1] + linear
        generator_optimizer, critic_optimizer = (
            torch.optim.AdamW(
                network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay, betas=ADAM_BETAS
            )
            for network in (generator, critic)
        )
        best, n_epochs_since_best = -np.inf, 0
        best_state = _clone_state(generator)
        for _ in tqdm(range(params.max_epochs), desc="corrector", unit="epoch", disable=not self.progress):
            for _ in range(params.critic_steps):
                with torch.no_grad():
                    corrected = linear + generator(keys, linear, self.memory_, leave_one_out=True)
                loss = critic(keys, corrected).mean() - critic(keys, measured).mean()
                penalty = _gradient_penalty(critic, keys, measured, corrected)
                _step(critic_optimizer, loss + params.gradient_penalty * penalty)
            corrected = linear + generator(keys, linear, self.memory_, leave_one_out=True)
            error = (corrected - measured).square().sum(dim=1).mean()
            _step(generator_optimizer, error - params.critic_weight * critic(keys, corrected).mean())
            cosine = self._held_out_cosine(held_out)
            n_epochs_since_best = 0 if cosine > best else n_epochs_since_best + 1
            if cosine > best:
                best, best_state = cosine, _clone_state(generator)
            if n_epochs_since_best >= params.patience:
                break
        generator.load_state_dict(best_state)
        return float(best)

    def _held_out_cosine(self, genes: GeneBatch) -> float:
        keys, linear = self._tensors(genes)
        with torch.no_grad():
            corrected = linear + self.generator_(keys, linear, self.memory_, leave_one_out=False)
        return _mean_cosine(corrected.cpu().numpy(), genes.measured)


def correct_weights(
    keys: np.ndarray,
    panel: Panel,
    oof_weights: np.ndarray,
    weights: np.ndarray,
    gene_index: np.ndarray,
    corrector: ResidualCorrector,
    *,
    rounds: int,
) -> np.ndarray:
    """Weights (P, G) to add to the linear `weights` (P, G) of the reference genes `gene_index` (G,).

    Fits `corrector` to the panel genes and their out-of-fold weights (P, P). `keys` (reference genes, D) are the
    vectors of the genes.
    """
    axes = panel.cell_components(corrector.params.n_cell_components)
    to_coefficients = axes.T @ panel.cov_xx
    panel_keys, gene_keys = keys[panel.gene_index], keys[gene_index]
    measured = (axes.T @ panel.cov_xy).T
    corrector.fit(GeneBatch(panel_keys, (to_coefficients @ oof_weights).T, measured))
    max_cosine = np.asarray((l2_normalize(gene_keys) @ l2_normalize(panel_keys).T).max(axis=1))
    genes = GeneBatch(gene_keys, (to_coefficients @ weights).T)
    return np.asarray(axes @ corrector.correct(genes, rounds=rounds, max_cosine=max_cosine).T)


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _clone_state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _gradient_penalty(
    critic: Critic, keys: torch.Tensor, measured: torch.Tensor, corrected: torch.Tensor
) -> torch.Tensor:
    """Mean squared deviation from one of the critic's gradient norm between measured and corrected coefficients."""
    share = torch.rand(len(measured), 1, device=measured.device)
    between = (share * measured + (1.0 - share) * corrected).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(keys, between).sum(), between, create_graph=True)
    return (gradient.norm(dim=1) - 1.0).square().mean()


def _mean_cosine(predicted: np.ndarray, measured: np.ndarray | None) -> float:
    """Mean cosine of the rows (G, K); rows of zeros are left out."""
    assert measured is not None
    length = np.linalg.norm(predicted, axis=1) * np.linalg.norm(measured, axis=1)
    nonzero = length > 1e-12
    return float(((predicted * measured).sum(axis=1)[nonzero] / length[nonzero]).mean()) if nonzero.any() else 0.0
