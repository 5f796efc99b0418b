"""Compare encoders that are learned across sections with the ridge prior of `spacex.tl.embed`.

    python -m benchmarks.reference.encoder FOLDER... --records DIR [--sections NAME ...] [--training NAME ...]
                                           [--seeds 2] [--minutes 4]

Candidates get one half of a section's counts and a reference, and are compared with the embedding of the other half
alone. Donors are divided into two folds by species and tissue. Networks are trained on the sections of one fold, with
references of the other donors of this fold, and evaluated on sections of the other fold, with references of all other
donors. At most `N_GENES` random genes of a section are used.

posterior mean, weight per dimension
    Normal prior around the ridge prediction, with variances of each dimension of this section; or the ridge prior with
    weights proportional to their ratio.
gate of dimensions, gate
    A network weights direction and prediction in each dimension, for all genes or for each gene; trained beside a
    reliability, or alone.
maps
    A U-Net on the maps of genes, pre-trained to reconstruct masked maps of the other half, adds to the result of the
    gate; also without the joint vectors of the reference, and without the maps of direction and prediction.
× reliability
    The same directions; cosines are multiplied by reliabilities of both genes, which the network computes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.linalg import orthogonal_procrustes

import spacex as sx
from benchmarks.quality.halves import halves
from benchmarks.quality.neighbors import overlap
from spacex import _adata
from spacex.embedding.prior import HALVES_STREAM, N_FOLDS, cross_fitted_ridge, fit_prior
from spacex.stats import l2_normalize

from .encoder_models import N_VECTOR_DIMS, Gate, MapNet, PriorEncoder, Sample, apply, fit, posterior_mean
from .measures import LEVELS, agreement
from .records import compute_records, reference_of
from .sections import CorpusSection, corpus_sections

N_GENES = 4000
GATE_TIME = 0.25
"""Training time of networks without maps, relative to that of networks on maps."""


class Halves(NamedTuple):
    """Embeddings and maps of the genes of both halves of a section's counts.

    Attributes
    ----------
    first, thinned, second
        (G, D) directions of the first half; (2, G, D) of halves of it, in the same space; (G, D') of the second half.
    strength, total, symbols
        (G,) norms of the embedding of the first half, counts in it, and symbols.
    components, pixel, shape, maps
        (P, D) weighted components of the first half, (P,) positions of the pixels in the flattened image, its rows and
        columns, and (2, G, P) float16 residual maps of both halves, with mean square one.
    """

    first: np.ndarray
    strength: np.ndarray
    thinned: np.ndarray
    second: np.ndarray
    total: np.ndarray
    symbols: np.ndarray
    components: np.ndarray
    pixel: np.ndarray
    shape: np.ndarray
    maps: np.ndarray


class Knowledge(NamedTuple):
    """What a reference knows of the genes of a section, computed from the first half of the counts.

    Attributes
    ----------
    shift, ridge, vectors
        (G, D) what the ridge prior adds to the directions; (3, G, D) cross-fitted predictions of the directions from
        all counts of the half and from its halves; (G, `N_VECTOR_DIMS`) joint vectors of unit length.
    """

    shift: np.ndarray
    ridge: np.ndarray
    vectors: np.ndarray


Case = tuple[Halves, Knowledge]
Anchor = tuple[np.ndarray, np.ndarray]
"""Joint vectors (N, F) of genes towards which those of other references are rotated, and symbols in capitals."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of sections (.h5ad)")
    parser.add_argument("--records", type=Path, required=True, help="folder in which intermediate results are kept")
    parser.add_argument("--sections", nargs="+", help="names of the sections to evaluate; all by default")
    parser.add_argument("--training", nargs="+", help="names of the sections to train on; all by default")
    parser.add_argument("--seeds", type=int, default=2, help="number of divisions of the counts")
    parser.add_argument("--minutes", type=float, default=4.0, help="training time of a network on maps")
    arguments = parser.parse_args()
    sections = corpus_sections(arguments.folders)
    compute_records(sections, arguments.records)
    fold, names, rows = donor_folds(sections), [section.name for section in sections], []
    training, evaluated = arguments.training or names, arguments.sections or names
    for i in (0, 1):
        inside = [s for s in sections if fold[s.donor] == i]
        anchor = anchor_vectors(inside, arguments.records)
        cases = (load_case(s, inside, anchor, 0, arguments.records) for s in inside if s.name in training)
        models = dict(train([to_sample(*case) for case in cases], 60 * arguments.minutes))
        for target in (s for s in sections if fold[s.donor] != i and s.name in evaluated):
            for seed in range(arguments.seeds):
                case = load_case(target, sections, anchor, seed, arguments.records)
                rows += [{"section": target.name, "seed": seed} | row for row in evaluate(*case, models)]
    print_tables(pd.DataFrame(rows))


def donor_folds(sections: Sequence[CorpusSection]) -> dict[str, int]:
    """Fold of each donor: alternating in the order of species and tissue."""
    donors = sorted({(s.species, s.tissue, s.donor) for s in sections})
    return {donor: i % 2 for i, (_, _, donor) in enumerate(donors)}


def anchor_vectors(sections: Sequence[CorpusSection], folder: Path) -> Anchor:
    """Anchor from the human sections, or from all if none is human."""
    reference = reference_of([s for s in sections if s.species == "human"] or sections, folder)
    genes, index = np.unique(np.char.upper(reference.genes.astype(str)), return_index=True)
    return joint_vectors(reference, reference.genes)[index], genes


def joint_vectors(reference: sx.Reference, symbols: np.ndarray) -> np.ndarray:
    """Joint vectors of genes, with zeros up to `N_VECTOR_DIMS` dimensions."""
    vectors = reference.gene_vectors(symbols)
    return np.pad(vectors, ((0, 0), (0, N_VECTOR_DIMS - vectors.shape[1])))


def load_case(section: CorpusSection, others: Sequence[CorpusSection], anchor: Anchor, seed: int, folder: Path) -> Case:
    """Halves of a section, and what a reference of the other donors among `others` knows, for random genes."""
    reference = reference_of([s for s in others if s.species == section.species and s.donor != section.donor], folder)
    half = stored(folder / f"{section.name}-halves-{seed}.npz", Halves, lambda: embed_halves(section, seed))
    file = folder / f"{section.name}-knowledge-{seed}-{reference.digest[:12]}.npz"
    known = stored(file, Knowledge, lambda: reference_knowledge(half, reference, anchor))
    g = np.sort(np.random.default_rng(0).permutation(len(half.first))[:N_GENES])
    per_gene = {name: getattr(half, name)[g] for name in ("first", "strength", "second", "total", "symbols")}
    half = half._replace(**per_gene, thinned=half.thinned[:, g], maps=half.maps[:, g])
    return half, Knowledge(known.shift[g], known.ridge[:, g], known.vectors[g])


def stored(file: Path, kind: Any, compute: Callable[[], Any]) -> Any:
    """Return a named tuple of arrays from a file, which is written if missing."""
    if not file.exists():
        np.savez(file, **compute()._asdict())
    return kind(**np.load(file))


def embed_halves(section: CorpusSection, seed: int) -> Halves:
    """Embed both halves of a section's counts; genes are those that are embedded in both."""
    first, second = halves(section.load(), seed)
    models, images, genes = [], [], []
    for half in (first, second):
        models.append(sx.tl.embed(half, n_modules=2, reference=None, progress=False))
        genes.append(_adata.indices_sorted_by_name(half, np.isfinite(half.varm["X_spacex"]).all(axis=1)))
        images.append(sx.get.embedded_images(half).take(genes[-1]))
    _, a, b = np.intersect1d(genes[0], genes[1], return_indices=True)
    model, layout = models[0], images[0].layout
    thinned = images[0].thin(0.5, np.random.default_rng([model.seed, HALVES_STREAM]))
    own, other = (x.scale_library(m.state_.library_factor) for x, m in zip(images, models, strict=True))
    maps = own.residuals(a), other.images(b).reshape(len(b), -1)[:, layout.flat]
    unit_maps = [m / np.sqrt(np.maximum((m**2).mean(axis=1, keepdims=True), 1e-12)) for m in maps]
    return Halves(
        first=l2_normalize(model.embedding_)[a],
        strength=np.linalg.norm(model.embedding_, axis=1)[a],
        thinned=np.stack([l2_normalize(model.transform(part))[a] for part in thinned]),
        second=l2_normalize(models[1].embedding_)[b],
        total=np.asarray(first.X.sum(axis=0)).ravel()[genes[0][a]],
        symbols=_adata.read_gene_names(first).symbols[genes[0][a]].astype(str),
        components=model.components(),
        pixel=layout.flat,
        shape=np.array(layout.shape),
        maps=np.stack(unit_maps).astype(np.float16),
    )


def reference_knowledge(half: Halves, reference: sx.Reference, anchor: Anchor) -> Knowledge:
    """What a reference knows; its joint vectors are rotated towards the anchor."""
    groups = reference.group_vectors(half.symbols)
    prior = fit_prior(half.first, (half.thinned[0], half.thinned[1]), groups, half.total, 0)
    features, ridge = np.hstack(groups), np.zeros((3, *half.first.shape), dtype=np.float32)
    if prior.weight:
        weight = (np.sqrt(half.total) * features.any(axis=1)).astype(np.float32)
        folds = np.random.default_rng(0).integers(N_FOLDS, size=len(features))
        targets = np.hstack([half.first, *half.thinned])
        predictions = dict(cross_fitted_ridge(features, targets, weight, folds))
        ridge = np.stack(np.split(predictions[prior.penalty], 3, axis=1))
    own = joint_vectors(reference, reference.genes)
    _, i, j = np.intersect1d(np.char.upper(reference.genes.astype(str)), anchor[1], return_indices=True)
    rotation = orthogonal_procrustes(own[i], anchor[0][j])[0]
    vectors = l2_normalize(joint_vectors(reference, half.symbols) @ rotation)
    return Knowledge(prior.weight * prior.prediction, ridge, vectors.astype(np.float32))


def to_sample(half: Halves, known: Knowledge) -> Sample:
    """Tensors and features of a case."""
    u, s, (first, second), n_dims = half.first, known.shift, half.thinned, half.first.shape[1]
    power = (half.thinned**2).mean(axis=(0, 1))
    rank = np.argsort(np.argsort(half.total, kind="stable")) / len(u) - 0.5
    length, log_total = np.linalg.norm(s, axis=1), np.log1p(half.total)
    along = np.stack([(v * s).sum(axis=1) / (length + 1e-6) for v in (u, (first + second) / 2)])
    gene = np.column_stack([
        rank, (log_total - log_total.mean()) / log_total.std(), np.log(half.strength + 1e-3), length, *along,
        (first * second).sum(axis=1), np.full(len(u), np.log(half.total.mean()) - 7),
    ])  # fmt: skip
    dim = np.column_stack([
        np.log(np.linalg.norm(half.components, axis=0) + 1e-3), np.clip((first * second).mean(axis=0) / power, 0, 1),
        np.clip((known.ridge[1] * second).mean(axis=0) / power, 0, 1),
        np.log((u**2).mean(axis=0) * n_dims + 1e-3), np.linspace(-1, 1, n_dims),
    ])  # fmt: skip
    arrays = {
        "u": u, "shift": s, "product": n_dims * first * second, "gene": gene, "dim": dim, "vectors": known.vectors,
        "second": half.second, "components": half.components,
    }  # fmt: skip
    tensors = {name: torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for name, x in arrays.items()}
    pixel, (height, width) = torch.from_numpy(half.pixel), (int(n) for n in half.shape)
    return Sample(**tensors, pixel=pixel, shape=(height, width), maps=torch.from_numpy(half.maps))


def train(samples: Sequence[Sample], seconds: float) -> Iterator[tuple[str, PriorEncoder]]:
    """Train and yield all networks, by name."""
    yield "ridge prior", fit(PriorEncoder, samples, GATE_TIME * seconds, batch=384)
    dimensions = partial(Gate, uses_genes=False)
    yield "gate of dimensions", fit(dimensions, samples, GATE_TIME * seconds, batch=384)
    yield "gate of dimensions, alone", fit(dimensions, samples, GATE_TIME * seconds, batch=384, reliability=False)
    gate = fit(Gate, samples, GATE_TIME * seconds, batch=384)
    yield "gate", gate
    yield "gate, alone", fit(Gate, samples, GATE_TIME * seconds, batch=384, reliability=False)
    yield "maps", fit(partial(MapNet, gate), samples, seconds, batch=128)
    yield "maps, no joint vectors", fit(partial(MapNet, gate, uses_vectors=False), samples, seconds, batch=128)
    yield "maps, no components", fit(partial(MapNet, gate, uses_components=False), samples, seconds, batch=128)


def evaluate(half: Halves, known: Knowledge, models: dict[str, PriorEncoder]) -> Iterator[dict[str, Any]]:
    """Yield the scores of every candidate for a case."""
    sample = to_sample(half, known)
    candidates: dict[str, tuple[np.ndarray, np.ndarray | None]] = {"section alone": (half.first, None)}
    candidates["posterior mean"] = candidates["weight per dimension"] = (half.first, None)
    if known.shift.any():
        statistics = (half.first, half.thinned, known.ridge[0], half.total)
        (mean, _), (_, ratio) = posterior_mean(*statistics), posterior_mean(*statistics, by_level=False)
        scale = np.sqrt((known.shift**2).sum() / ((ratio * known.shift) ** 2).sum())
        candidates["posterior mean"] = (mean, None)
        candidates["weight per dimension"] = (half.first + scale * ratio * known.shift, None)
    for name, model in models.items():
        embedding, reliability = apply(model, sample)
        candidates[name] = (embedding, None)
        if not name.endswith("alone"):
            candidates[f"{name} × reliability"] = (embedding, reliability)
    for name, (embedding, factor) in candidates.items():
        values = agreement(embedding, half.second, half.total, factor)
        neighbors = overlap(embedding, half.second) if factor is None else np.nan
        yield {"candidate": name, **dict(zip(LEVELS, values, strict=True)), "neighbors": neighbors}


def print_tables(rows: pd.DataFrame) -> None:
    """Print the scores of the ridge prior, and gains of the candidates over it, by section and on average."""
    scores = rows.set_index(["candidate", "section", "seed"])
    base = scores.loc["ridge prior"]
    gain = scores - base.reindex(scores.index.droplevel("candidate")).to_numpy()
    by_section = gain.groupby(["candidate", "section"], sort=False).mean()
    table = by_section.groupby("candidate", sort=False).mean()
    table["minimum"] = by_section["all pairs"].groupby("candidate").min()
    table["sd over seeds"] = gain["all pairs"].groupby(["candidate", "seed"]).mean().groupby("candidate").std()
    print(f"ridge prior\n{base.groupby('section', sort=False).mean().to_string(float_format='%.3f')}")
    print(f"\nmean gains over it\n{table.to_string(float_format='%.4f')}")
    print(f"\nall pairs\n{by_section['all pairs'].unstack('section').to_string(float_format='%.3f')}")


if __name__ == "__main__":
    main()
