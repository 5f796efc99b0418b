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
from spacex.gene_names import species_of_names
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
    z, null, joint, entry = model.embedding_, None, None, None
    symbols = _adata.read_gene_names(adata).symbols
    if named is not None and (known := named[1].gene_vectors(symbols)).any():
        name, reference = named
        joint = known
        prior = section_prior(model, images, reference.group_vectors(symbols[embedded]), model.seed)
        entry = _summary(name, reference, prior, n_genes=int(joint[embedded].any(axis=1).sum()))
        if prior.weight:
            null_z = model.state_.null_embedding
            null = prior.apply(null_z, null_gene_sources(images, len(null_z), model.seed))
            z = prior.apply(z)
    elif named is not None:
        logger.info("reference %s: not used, it knows none of the genes", named[0])
    _adata.write_embedding(adata, embedded, z, without_reference=None if null is None else model.embedding_)
    _write_cofunction(adata, embedded, model, joint)
    _adata.write_uns(adata, reference=entry)
    return null


def _summary(name: str, reference: Reference, prior: Prior, *, n_genes: int) -> dict[str, object]:
    """Entry of ``uns["spacex"]["reference"]``, which is also logged."""
    without, with_reference = prior.agreement
    logger.info(
        "reference %s: weight %.3g; agreement of halves of the counts %.3f without, %.3f with it; %d genes known",
        name, prior.weight, without, with_reference, n_genes,
    )  # fmt: skip
    return {
        "name": name,
        "digest": reference.digest,
        "weight": prior.weight,
        "penalty": prior.penalty,
        "agreement_without": without,
        "agreement_with": with_reference,
        "n_sections": len(reference.sections),
        "n_genes": n_genes,
    }


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
