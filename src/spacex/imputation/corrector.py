"""A learned correction of imputed genes: a generator with a memory, trained on the panel's genes against a critic.

The generator translates what the reference knows of a gene into what the linear prediction misses of its map in the
target, as coefficients in the leading components of the target's cells. It reads a memory of panel genes, their
embeddings as keys and their corrections as values, so that a gene is corrected as its like were. The critic, a
Wasserstein critic with gradient penalty (Gulrajani et al. 2017, eq. 3), tells coefficients of measured genes from made
ones. Genes of the panel that take no part in training stop it; where they gain nothing, nothing is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from spacex.imputation import Panel, Transfer, cell_components, max_cosine

CELL_COMPONENTS = 32
"""Components of the target's cells in which genes are corrected."""

HIDDEN_SIZE = 64
EPOCHS, PATIENCE = 400, 60
RATE, DECAY = 2e-3, 1e-2
CRITIC_STEPS, PENALTY = 2, 10.0
CRITIC_SHARE = 0.02
"""Weight of the critic in the generator's loss, beside the squared error of the coefficients."""

MEMORY_GATE_INIT = -4.0
"""Logit of the share of what is looked up in the memory, before training."""

HOLDOUT_SHARE = 0.2
"""Share of the panel's genes that stop the training."""


@dataclass(frozen=True)
class GeneBatch:
    """Genes to translate.

    Attributes
    ----------
    key
        (G, D) what the reference knows of each.
    linear
        (G, K) coefficients of its linear prediction in components of the target's cells.
    true
        (G, K) coefficients of its measured map; None where it is not measured.
    """

    key: np.ndarray
    linear: np.ndarray
    true: np.ndarray | None = None

    def take(self, index: np.ndarray) -> GeneBatch:
        """Some of the genes."""
        return GeneBatch(self.key[index], self.linear[index], None if self.true is None else self.true[index])


class Generator(nn.Module):
    """From genes to corrections (G, K), by what their like in the memory needed and by a perceptron."""

    def __init__(self, n_key: int, n_out: int):
        super().__init__()
        self.query = nn.Linear(n_key, HIDDEN_SIZE, bias=False)
        self.sharpness = nn.Parameter(torch.zeros(()))
        self.trust = nn.Parameter(torch.tensor(MEMORY_GATE_INIT))
        last = nn.Linear(HIDDEN_SIZE, n_out)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.perceptron = nn.Sequential(nn.Linear(n_key + n_out, HIDDEN_SIZE), nn.GELU(), last)

    def forward(
        self, key: torch.Tensor, linear: torch.Tensor, memory: tuple[torch.Tensor, torch.Tensor], *, itself: bool
    ) -> torch.Tensor:
        """Corrections of genes; `itself`: they are those of the memory, in which no gene may look itself up."""
        keys, values = memory
        place = nn.functional.normalize(self.query(key), dim=1)
        likeness = place @ nn.functional.normalize(self.query(keys), dim=1).T * (4.0 * self.sharpness.exp())
        if itself:
            likeness = likeness.masked_fill(torch.eye(len(key), dtype=torch.bool, device=key.device), -torch.inf)
        looked_up = torch.softmax(likeness, dim=1) @ values
        return torch.sigmoid(self.trust) * looked_up + self.perceptron(torch.cat([key, linear], dim=1))


class Critic(nn.Module):
    """A score for coefficients (G, K) of genes with keys (G, D)."""

    def __init__(self, n_key: int, n_out: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(n_key + n_out, HIDDEN_SIZE), nn.LeakyReLU(0.2), nn.Linear(HIDDEN_SIZE, 1))

    def forward(self, key: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Scores (G, 1)."""
        return self.score(torch.cat([key, made], dim=1))


class ResidualCorrector:
    """Generator and memory, trained on the genes of a panel.

    Parameters
    ----------
    panel
        Measured genes. Their linear predictions must not have seen them.
    seed, device, progress
        As everywhere.

    Attributes
    ----------
    linear_, learned_
        Mean cosine of linear and of corrected coefficients with the measured ones, on the genes that stopped the
        training. Where the second is not larger, `correct` gives zeros.
    """

    def __init__(self, panel: GeneBatch, *, seed: int, device: torch.device, progress: bool = False):
        assert panel.true is not None
        self.device = device
        self._centre, self._scale = panel.key.mean(axis=0), float(panel.key.std()) or 1.0
        order = np.random.default_rng(seed).permutation(len(panel.key))
        n_held_out = max(2, round(HOLDOUT_SHARE * len(order)))
        seen, held_out = panel.take(order[n_held_out:]), panel.take(order[:n_held_out])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = Generator(panel.key.shape[1], panel.linear.shape[1]).to(device)
            self.critic = Critic(panel.key.shape[1], panel.linear.shape[1]).to(device)
            self.memory = self._memory(seen)
            self.linear_ = _cosine(held_out.linear, held_out.true)
            self.learned_ = self._train(seen, held_out, progress=progress)

    def correct(self, genes: GeneBatch, *, rounds: int = 1, max_cosine: np.ndarray | None = None) -> np.ndarray:
        """Corrections (G, K) to add to the linear coefficients.

        In several rounds the genes with the largest `max_cosine` (G,) to the panel come first, and enter the memory.
        """
        found = np.zeros_like(genes.linear)
        if self.learned_ <= self.linear_:
            return found
        order = np.arange(len(found)) if max_cosine is None else np.argsort(-max_cosine, kind="stable")
        memory = self.memory
        for batch in np.array_split(order, max(1, min(rounds, len(order)))):
            key, linear = self._tensors(genes.take(batch))
            with torch.no_grad():
                made = self.generator(key, linear, memory, itself=False)
            found[batch] = made.cpu().numpy()
            memory = torch.cat([memory[0], key]), torch.cat([memory[1], made])
        return found

    def _tensors(self, genes: GeneBatch) -> tuple[torch.Tensor, torch.Tensor]:
        key = (genes.key - self._centre) / self._scale
        key, linear = (torch.as_tensor(x, dtype=torch.float32, device=self.device) for x in (key, genes.linear))
        return key, linear

    def _memory(self, genes: GeneBatch) -> tuple[torch.Tensor, torch.Tensor]:
        key, linear = self._tensors(genes)
        return key, torch.as_tensor(genes.true, dtype=torch.float32, device=self.device) - linear

    def _train(self, seen: GeneBatch, held_out: GeneBatch, *, progress: bool) -> float:
        """Train until the genes held out gain no more, and keep the best; their mean cosine."""
        key, linear = self._tensors(seen)
        true = self.memory[1] + linear
        generator, critic = (
            torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.5, 0.9))
            for network in (self.generator, self.critic)
        )
        best, since = -np.inf, 0
        kept = {name: value.clone() for name, value in self.generator.state_dict().items()}
        for _ in tqdm(range(EPOCHS), desc="translator", unit="epoch", disable=not progress):
            for _ in range(CRITIC_STEPS):
                with torch.no_grad():
                    made = linear + self.generator(key, linear, self.memory, itself=True)
                loss = self.critic(key, made).mean() - self.critic(key, true).mean() + self._penalty(key, true, made)
                critic.zero_grad()
                loss.backward()
                critic.step()
            made = linear + self.generator(key, linear, self.memory, itself=True)
            loss = (made - true).square().sum(dim=1).mean() - CRITIC_SHARE * self.critic(key, made).mean()
            generator.zero_grad()
            loss.backward()
            generator.step()
            found = self._cosine_of(held_out)
            since = 0 if found > best else since + 1
            if found > best:
                best, kept = found, {name: value.clone() for name, value in self.generator.state_dict().items()}
            if since >= PATIENCE:
                break
        self.generator.load_state_dict(kept)
        return float(best)

    def _penalty(self, key: torch.Tensor, true: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Gradient penalty between measured and made coefficients."""
        share = torch.rand(len(true), 1, device=self.device)
        between = (share * true + (1.0 - share) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(key, between).sum(), between, create_graph=True)
        return PENALTY * (slope.norm(dim=1) - 1.0).square().mean()

    def _cosine_of(self, genes: GeneBatch) -> float:
        key, linear = self._tensors(genes)
        with torch.no_grad():
            made = linear + self.generator(key, linear, self.memory, itself=False)
        return _cosine(made.cpu().numpy(), genes.true)


def correction(
    key: np.ndarray,
    panel: Panel,
    found: Transfer,
    wanted: np.ndarray,
    *,
    rounds: int,
    seed: int,
    device: torch.device,
    progress: bool,
) -> tuple[np.ndarray, dict[str, float]]:
    """Weights (P, G) to add to those of wanted genes, and what panel genes gained: ``linear``, ``learned`` cosine.

    `key` (genes of the reference, D) is what is known of each gene there.
    """
    axes = cell_components(panel, CELL_COMPONENTS)
    turn = axes.T @ panel.within
    measured = GeneBatch(key[panel.number], (turn @ found.crossed).T, (axes.T @ panel.across).T)
    translator = ResidualCorrector(measured, seed=seed, device=device, progress=progress)
    near = max_cosine(key[panel.number], key[wanted])
    made = translator.correct(GeneBatch(key[wanted], (turn @ found.weights).T), rounds=rounds, max_cosine=near)
    return axes @ made.T, {"linear": translator.linear_, "learned": translator.learned_}


def _cosine(made: np.ndarray, true: np.ndarray | None) -> float:
    """Mean cosine of rows (G, K); genes without any signal are left out."""
    assert true is not None
    length = np.linalg.norm(made, axis=1) * np.linalg.norm(true, axis=1)
    known = length > 1e-12
    return float(((made * true).sum(axis=1)[known] / length[known]).mean()) if known.any() else 0.0
