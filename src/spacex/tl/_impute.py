"""`impute`: genes that a targeted section lacks, from a reference that measures them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from spacex import _adata
from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_bool, check_int, check_names, check_seed
from spacex.embedding.context import resolve_device
from spacex.gene_names import GeneNames, fold
from spacex.imaging.residuals import log_normalize
from spacex.imputation import (
    RELIABILITY_FEATURES,
    Cells,
    Reference,
    calibrate,
    find_requested_genes,
    fit_reference,
    shared_genes,
    shares_name,
    transfer,
)
from spacex.imputation.corrector import correction
from spacex.stats import l2_normalize, signal_share
from spacex.tl._embed import embed
from spacex.tl._impute_positions import reference_places, spots_in_tissue, target_places
from spacex.tl._stream import check_h5ad, write_rows

logger = logging.getLogger("spacex")

MAX_BYTES = 4_000_000_000
"""Size of a result that is held in memory."""

MIN_LEARNED = 200
"""Panel genes from which on a generator is tried."""

PREDICTABLE = 0.1
"""Reliability below which a gene is reported as one that cannot be predicted."""


def impute(
    target: AnnData,
    reference: AnnData,
    *,
    genes: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    counts: bool = False,
    learned: bool | Literal["auto"] = "auto",
    rounds: int = 1,
    layer: str | None = None,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> AnnData:
    """Give a targeted section the genes that its panel lacks, with a reliability for each.

    A gene is predicted from the panel of a cell and of its neighbourhood (12 nearest cells) by covariances that the
    reference has: those of the leading components of its cells, and, where it has coordinates, of the embeddings of
    its genes. Which of these, and how strongly shrunk, is chosen by genes of the panel that are held out in turn; four
    predictions are averaged. Sections need no alignment.

    Parameters
    ----------
    target
        Cells × panel, raw counts or intensities. Coordinates are used where they are there. Cells with
        ``obs["in_tissue"] == 0`` are left out, of the result too.
    reference
        Spots or dissociated cells × genes of the same tissue and species. With ``obsm["spatial"]`` its genes are
        embedded, unless ``varm["X_spacex"]`` is there already. Spots off the tissue are left out; counts are found as
        `spacex.tl.embed` finds them.
    genes
        Genes of the reference to predict, by name or symbol; by default all that the target lacks. An ambiguous symbol
        is left out with a warning. What the target holds of a gene that is asked for is not looked at, so that
        predictions can be compared with it.
    aliases
        Other names that the target has for genes of the reference: name or symbol there -> name in the reference.
    counts
        Whether to give expected counts, at the reference's median library, instead of their log1p.
    learned
        Whether to train a generator with a memory against a critic, on the genes of the panel, whose correction is
        added to the linear prediction where panel genes that took no part in the training gain by it. ``"auto"``: with
        at least 200 panel genes in the reference; with fewer it gained nothing where it was measured
        (``docs/method.md``).
    rounds
        The genes nearest to the panel are corrected first and enter the memory of the generator, in so many rounds. The
        linear prediction is the same in any order.
    layer
        Layer of the target with its counts; found as `spacex.tl.embed` does where it is not given.
    spatial_key
        Key of the target's coordinates, as in `spacex.pp.rasterize`.
    library_key
        Column of ``target.obs`` that names sections: neighbours are of one section.
    path
        ``.h5ad`` file to write the result to, a batch of cells at a time; it is returned backed by it.
    seed
        Seed of the folds in which genes of the panel are held out.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``, for the embedding of the reference's genes.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    An AnnData, cells of the target in the tissue × wanted genes in their order, with ``obs`` and ``obsm`` of the
    target. ``X`` float32: log1p of counts scaled to the reference's median library, at least zero (intensities: in the
    units of the reference). ``var["reliability"]``: the correlation with the truth to expect, 0 to 1;
    ``var["predictable"]``: whether it is at least .1 and the gene is seen in 5 cells of the reference or more; others
    are given their mean or close to it; ``var["symbol"]``, where the reference has symbols that differ from the names.
    ``uns["spacex"]["impute"]``: the panel genes that were held out with their correlation and reliability, what was
    tried, and the settings.

    Raises
    ------
    InputError
        If names share fewer than 10 genes or are of two species, `genes` has some that the reference lacks or that
        occur twice, sections of the target or the reference lie on top of each other, or the result would not fit in
        memory and no `path` is given, or not on the disk of `path`.

    Notes
    -----
    Genes are matched by name, then by Ensembl id, then by symbol, then whatever their case: one of the two may have
    identifiers as names where symbols stand in a column of ``var``, such as ``"feature_name"``. For two species rename
    the genes of one by a table of orthologs first. Reliability is learnt from panel genes, which are often chosen for
    being strong: it is a guide for genes that are unlike them.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=120, n_spots=400, n_modules=4, depth=2.0)
    >>> panel, wanted = adata[:, :80].copy(), list(adata.var_names[80:])
    >>> found = sx.tl.impute(panel, adata, genes=wanted, progress=False)
    >>> found.shape, bool(found.var["reliability"].between(0, 1).all())
    ((400, 40), True)
    """
    _adata.check_adata(target, name="target")
    _adata.check_adata(reference, name="reference")
    _check_settings(aliases, learned, rounds, seed)
    counts, progress = check_bool(counts, name="counts"), check_bool(progress, name="progress")
    resolve_device(device)
    where = check_h5ad(path) if path is not None else None
    target, reference = spots_in_tissue(target, "target"), spots_in_tissue(reference, "reference")
    _adata.check_genes_and_spots(reference)
    _adata.check_genes_and_spots(target)
    xy, section = target_places(target, spatial_key, library_key)
    matrix, is_count = _adata.choose_matrix(reference, None)
    if counts and not is_count:
        raise InputError("counts=True needs a reference with raw counts, in X or layers['counts']; leave it out")
    reference_xy = reference_places(reference) if is_count else None
    measured, known = _adata.read_gene_names(target), _adata.read_gene_names(reference)
    measured = measured.renamed({str(name): str(new) for name, new in (aliases or {}).items()})
    wanted, names = _wanted(measured, known, genes)
    _check_size(target.n_obs, len(names), where)
    kept = np.flatnonzero(~shares_name(measured, known.take(wanted)))
    panel_t, panel_r = shared_genes(measured.take(kept), known)
    cells = _cells(target, kept, panel_t, layer, xy, section)
    rng = np.random.default_rng(seed)
    embedding = _embedded(reference, matrix, reference_xy, seed=seed, device=device) if is_count else None
    learnt = fit_reference(matrix, is_count, rng, embedding=embedding)
    panel, mean = cells.panel(panel_r)
    found = transfer(learnt.vectors, panel, wanted, rng)
    weights, gain = found.weights, dict[str, float]()
    if learned is True or (learned == "auto" and len(panel_r) >= MIN_LEARNED):
        added, gain = correction(
            learnt.key, panel, found, wanted, rounds=rounds, seed=seed, device=resolve_device(device), progress=progress
        )
        weights = weights + added
    calibration = calibrate(found.held_out[list(RELIABILITY_FEATURES)].to_numpy(), found.held_out["pcc"].to_numpy())
    reliability = np.where(learnt.seen[wanted], calibration.reliability(found.traits), 0.0)
    frame = _frame(target, names, known.symbols[wanted], reliability)
    held_out = found.held_out.set_axis(target.var_names[kept[panel_t]].astype(str))
    held_out["reliability"] = calibration.reliability(held_out[list(RELIABILITY_FEATURES)].to_numpy())
    held_out = measured.with_symbols(held_out, symbol=kept[panel_t])
    notes = {"held_out": held_out, "tried": found.tried, "n_panel": len(held_out), "seed": seed, "counts": counts}
    _adata.write_uns(frame, impute=notes | gain)
    poor = int((~frame.var["predictable"]).sum())
    if poor:
        logger.warning("%d of %d gene(s) cannot be predicted: see var['predictable']", poor, len(names))
    rows = _rows(cells, mean, weights, learnt, wanted, counts=counts, progress=progress)
    if where is not None:
        return write_rows(frame, rows, where)
    frame.X = np.empty(frame.shape, dtype=np.float32)
    for part, values in rows:
        frame.X[part] = values
    return frame


def _check_settings(aliases: object, learned: object, rounds: object, seed: object) -> None:
    check_seed(seed)
    check_int(rounds, name="rounds", low=1)
    if aliases is not None and not isinstance(aliases, Mapping):
        raise InputError(
            f"aliases={safe_repr(aliases)} is not allowed; pass a dict, name in the target: name in the reference"
        )
    if not isinstance(learned, (bool, str)) or learned not in (True, False, "auto"):
        raise InputError(f"learned={safe_repr(learned)} is not allowed; pass True, False or 'auto'")


def _check_size(n_cells: int, n_genes: int, path: Path | None) -> None:
    """Raise `InputError` where the result fits neither in memory nor on the disk of `path`."""
    needed = 4 * n_cells * n_genes
    size = f"{n_cells} cells × {n_genes} genes take {needed / 1e9:.1f} GB"
    if path is None:
        if needed > MAX_BYTES:
            hint = "pass path='result.h5ad' to write them there a batch of cells at a time, or fewer genes"
            raise InputError(f"{size}; {hint}")
    elif needed > (free := shutil.disk_usage(path.parent).free):
        hint = "free some, pass a path on another disk, or fewer genes"
        raise InputError(f"{size}, and {free / 1e9:.1f} GB are free on the disk of path='{path}'; {hint}")


def _wanted(measured: GeneNames, known: GeneNames, genes: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Numbers, and names, of the genes to predict among the `known` of the reference; the target has the `measured`."""
    if genes is None:
        lacking = np.flatnonzero(~shares_name(known, measured))
        if not len(lacking):
            raise InputError("the target has every gene of the reference; pass genes= to predict some of them anew")
        return lacking, list(known.names[lacking])
    if isinstance(genes, str):
        raise InputError(f"genes={genes!r} is one name; pass a list of names")
    names = check_names(genes, name="genes")
    if not names:
        raise InputError("genes is empty; pass names of genes of the reference, or leave it out")
    return find_requested_genes(names, known)


def _cells(
    target: AnnData, kept: np.ndarray, panel: np.ndarray, layer: str | None, xy: np.ndarray | None, section: np.ndarray
) -> Cells:
    """The target's cells by its panel: of the genes `kept`, which make the libraries, those with numbers `panel`."""
    matrix, is_count = _adata.choose_matrix(target, layer)
    values = matrix[:, kept]
    values = (log_normalize(values) if is_count else values)[:, panel]
    return Cells.of(values, xy, section)


def _embedded(
    reference: AnnData, counts: object, xy: np.ndarray | None, *, seed: int, device: str
) -> np.ndarray | None:
    """Embeddings (G, D) of the reference's genes, at the length whose square is the share of a map that is signal.

    The product of two is then the covariance of two maps, noise left out. Genes that are not embedded yet are, from
    `counts` (S, G) at positions `xy` (S, 2); None without positions.
    """
    if _adata.keys.EMBEDDING not in reference.varm:
        if xy is None:
            return None
        var, obs = pd.DataFrame(index=reference.var_names), pd.DataFrame(index=reference.obs_names)
        reference = AnnData(counts, obs=obs, var=var, obsm={"spatial": xy})
        embed(reference, n_modules=2, seed=seed, device=device, progress=False)
    z = np.nan_to_num(_adata.read_embedding(reference)).astype(np.float64)
    return l2_normalize(z) * np.sqrt(signal_share(np.linalg.norm(z, axis=1, keepdims=True)))


def _frame(target: AnnData, names: list[str], symbols: np.ndarray, reliability: np.ndarray) -> AnnData:
    """The result without its matrix."""
    var = pd.DataFrame({"reliability": reliability, "predictable": reliability >= PREDICTABLE}, index=names)
    if any(fold(name) != fold(symbol) for name, symbol in zip(names, symbols, strict=True)):
        var["symbol"] = symbols
    frame = AnnData(obs=target.obs.copy(), var=var, obsm={key: np.array(value) for key, value in target.obsm.items()})
    if "spatial" in target.uns:
        frame.uns["spatial"] = target.uns["spatial"]
    return frame


def _rows(
    cells: Cells,
    mean: np.ndarray,
    weights: np.ndarray,
    learnt: Reference,
    wanted: np.ndarray,
    *,
    counts: bool,
    progress: bool,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Predicted values of batches of cells (B, G)."""
    turned = (weights * learnt.scale[wanted]).astype(np.float32)
    level = (learnt.mean[wanted] - mean @ turned).astype(np.float32)
    with tqdm(total=len(cells), desc="impute", unit="cell", disable=not progress) as bar:
        for part, _, used in cells.batches():
            values = np.maximum(used @ turned + level, 0.0)
            yield part, np.expm1(values) if counts else values
            bar.update(len(values))
