"""Resolution of the argument `reference` of `embed`, and the results that depend on it."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError, safe_repr
from spacex.embedding.cofunction import cofunction_vectors
from spacex.embedding.estimator import SpaCEX
from spacex.embedding.null_genes import null_gene_sources
from spacex.embedding.prior import Prior, section_prior
from spacex.gene_names import join_names, species_of_names
from spacex.imaging.gene_images import GeneImages
from spacex.reference import Reference
from spacex.reference.shipped import SPECIES, shipped_reference

logger = logging.getLogger("spacex")
ReferenceArgument = Reference | str | PathLike[str] | None


def resolve_reference(reference: ReferenceArgument, adata: AnnData) -> tuple[str, Reference] | None:
    """Name and reference that an argument means; None for none.

    Raises
    ------
    InputError
        If the argument is not a reference, or its species is not that of the genes.
    """
    if reference is None:
        return None
    species = species_of_names(_adata.read_gene_names(adata).symbols)
    if isinstance(reference, str) and reference == "auto":
        return (species, shipped_reference(species)) if species in SPECIES else None
    if isinstance(reference, str) and reference in SPECIES:
        name, resolved = reference, shipped_reference(reference)
    elif isinstance(reference, Reference):
        name, resolved = "Reference", reference
    elif isinstance(reference, (str, PathLike)):
        name, resolved = Path(reference).name, Reference.load(reference)
    else:
        raise InputError(
            f"reference={safe_repr(reference)} is not a reference; pass None, 'auto', 'human', 'mouse', a Reference, "
            "or the path of a file that Reference.save wrote"
        )
    if species and resolved.species and species != resolved.species:
        raise InputError(
            f"reference is one of {resolved.species} genes, and the genes of the section are {species} by their names; "
            "pass a reference of the same species, or rename the genes"
        )
    return name, resolved


def write_reference_results(
    adata: AnnData, embedded: np.ndarray, model: SpaCEX, images: GeneImages, named: tuple[str, Reference] | None
) -> np.ndarray | None:
    """Write the embeddings, with the prior of a reference if there is one, and the vectors for function.

    Returns the null genes with the prior (N, D); None if the embeddings are those of the section alone.
    """
    symbols = _adata.read_gene_names(adata).symbols
    z, null = model.embedding_, None
    prior, joint, entry = None, None, None
    if named is not None:
        prior, joint, entry = _prior_and_vectors(*named, model, images, symbols, embedded)
    if prior is not None and prior.weight:
        null_z = model.state_.null_embedding
        null = prior.apply(null_z, null_gene_sources(images, len(null_z), model.seed))
        z = prior.apply(z)
    _adata.write_embedding(adata, embedded, z, without_reference=None if null is None else model.embedding_)
    _write_cofunction(adata, embedded, model, joint)
    _adata.write_uns(adata, reference=entry)
    return null


def _prior_and_vectors(
    name: str, whole: Reference, model: SpaCEX, images: GeneImages, symbols: np.ndarray, embedded: np.ndarray
) -> tuple[Prior | None, np.ndarray | None, dict[str, object] | None]:
    """The prior, vectors of all genes, and the entry of ``uns["spacex"]["reference"]``; None if no gene is known."""
    reference, same = whole.without_section(images.counts, symbols[embedded])
    joint = reference.gene_vectors(symbols)
    if not same and not joint.any():
        logger.info("reference %s: not used, it knows none of the genes", name)
        return None, None, None
    left_out = _left_out(name, whole, reference, same)
    prior = section_prior(model, images, reference.group_vectors(symbols[embedded]), model.seed)
    n_genes = int(joint[embedded].any(axis=1).sum())
    without, with_reference = prior.agreement
    logger.info(
        "reference %s: weight %.3g; agreement of halves of the counts %.3f without, %.3f with it; %d genes known",
        name, prior.weight, without, with_reference, n_genes,
    )  # fmt: skip
    return prior, joint, {
        "name": name,
        "digest": whole.digest,
        "weight": prior.weight,
        "penalty": prior.penalty,
        "agreement_without": without,
        "agreement_with": with_reference,
        "n_sections": len(reference.sections),
        "n_genes": n_genes,
        **left_out,
    }  # fmt: skip


def _left_out(name: str, whole: Reference, reference: Reference, same: list[str]) -> dict[str, object]:
    """Entry with the sections that are left out of a reference because one is the same; empty without any."""
    if not same:
        return {}
    logger.warning(
        "reference %s contains this section (%s): its sections of %s are left out, because its own noise would "
        "overstate the agreement",
        name, join_names(same), "; ".join(sorted(set(whole.groups) - set(reference.groups))),
    )  # fmt: skip
    return {"left_out": sorted(set(whole.sections["name"]) - set(reference.sections["name"]))}


def _write_cofunction(adata: AnnData, embedded: np.ndarray, model: SpaCEX, joint: np.ndarray | None) -> None:
    """Write vectors of embedded genes and of those that only the reference knows (joint vectors (G, F))."""
    n_genes = adata.n_vars
    z = np.zeros((n_genes, model.embedding_.shape[1]), dtype=np.float32)
    z[embedded] = model.embedding_
    is_embedded = np.isin(np.arange(n_genes), embedded)
    known = np.zeros(n_genes, dtype=bool) if joint is None else joint.any(axis=1)
    genes = np.flatnonzero(is_embedded | known)
    vectors = cofunction_vectors(z[genes], model.dimension_weights(), None if joint is None else joint[genes])
    _adata.write_cofunction(adata, genes, vectors, ~is_embedded[genes])
