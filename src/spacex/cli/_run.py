"""The analysis of one section: read, rasterize, embed, module stability, svg, interactions, domains, enrich, write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer
from anndata import AnnData
from pandas import DataFrame

import spacex as sx
from spacex import _adata
from spacex._infra.errors import InputError
from spacex.cli._checkpoint import Checkpoint, fingerprint, resume_state
from spacex.cli._log import log_status
from spacex.cli._outputs import check_folder, check_overwrite, write_result
from spacex.cli._run_options import RunOptions
from spacex.cli._stage_timer import StageTimer
from spacex.distributed.process_group import detect_launcher, launcher_for
from spacex.gene_names import GeneNames


def run_file(path: Path, out: Path, options: RunOptions, *, resume: bool) -> None:
    """Analyze a file and write all results to a folder.

    If a launcher started several processes, all of them embed; then the main process continues alone.
    """
    is_main = _is_main_process(options)
    gene_sets = sx.tl.read_gene_sets(options.gene_sets) if options.gene_sets is not None else None
    if not (path.is_file() or path.is_dir()) or (options.coordinates is not None and not options.coordinates.exists()):
        sx.read(path, coordinates=options.coordinates)  # raises the error of the reader
    inputs = [
        file for file in (path, options.coordinates, options.gene_sets, options.reference_file) if file is not None
    ]
    if options.reference_file is not None:
        sx.Reference.load(options.reference_file)  # raises an error for an invalid file, before the section is read
    check_folder(out)
    check_overwrite(out, inputs)
    source = {"input": fingerprint(path), "version": sx.__version__}
    checkpoint = Checkpoint(out, {**source, **options.embedding_choices()})
    choices = {**source, **options.result_choices()}
    state = resume_state(checkpoint, choices) if resume else None
    if state == "complete" and is_main:
        log_status(f"{out} contains the complete result of this run; nothing to do")
    if state == "complete" or (state == "checkpoint" and not is_main):
        return
    timer = StageTimer(silent=not is_main)
    try:
        if state == "checkpoint":
            adata, timer.seconds = checkpoint.read(lazy=options.lazy)
            log_status(f"resuming after `embed` from {checkpoint.folder}")
            _check_options(adata, options, gene_sets)
        else:
            with timer.stage("read"):
                adata = sx.read(
                    path, coordinates=options.coordinates, bin=options.bin, sample=options.sample, lazy=options.lazy
                )
            _check_options(adata, options, gene_sets)
            model = embed(adata, options, timer)
            if not is_main:
                return
            checkpoint.write(adata, model, timer.seconds)
        enrichment = analyze(adata, options, gene_sets, timer)
        write_result(adata, out, checkpoint.model, enrichment, choices=choices, input_name=path.name, timer=timer)
    except InputError:
        if checkpoint.is_written:
            checkpoint.remove()  # invalid input leaves no files; the checkpoint of another run stays
        raise
    checkpoint.remove()
    log_status(f"wrote {out}")


def run_demo(out: Path | None, *, seed: int, device: str) -> None:
    """Analyze a simulated section and print the agreement with its truth."""
    from spacex.cli._recovery import recovery_report

    if out is not None:
        check_folder(out)
        check_overwrite(out)
    timer = StageTimer()
    with timer.stage("simulate"):
        adata = sx.datasets.simulate_section(seed=seed)
    options = RunOptions(n_domains=adata.obs["domain"].nunique(), seed=seed, device=device)
    model = embed(adata, options, timer)
    analyze(adata, options, None, timer)
    if out is not None:
        source = {"input": f"simulate_section(seed={seed})", "version": sx.__version__}
        choices = {**source, **options.result_choices()}
        write_result(adata, out, model, None, choices=choices, input_name="simulated section", timer=timer)
        log_status(f"wrote {out}")
    for line in recovery_report(adata):
        typer.echo(line)


def _is_main_process(options: RunOptions) -> bool:
    """Return whether this process writes the result.

    Raises
    ------
    InputError
        If torchrun started several processes that would each write a result.
    """
    config, launched = options.to_config(), detect_launcher()
    if launched is not None and launched.launcher == "torchrun" and config.n_processes == 1:
        raise InputError(
            f"torchrun started {launched.size} processes, but --devices 1 --num-nodes 1 asks for one; "
            "pass the number of processes, so that they share the work"
        )
    process = launcher_for(config)
    return process is None or process.rank == 0


def _check_options(adata: AnnData, options: RunOptions, gene_sets: dict[str, list[str]] | None) -> None:
    """Raise `InputError` for options that do not fit the section."""
    if options.n_domains is not None and options.n_domains >= adata.n_obs:
        raise InputError(
            f"--n-domains {options.n_domains} is not allowed: the section has {adata.n_obs} spots; pass fewer"
        )
    if options.n_modules is not None and options.n_modules > adata.n_vars:
        raise InputError(
            f"--n-modules {options.n_modules} is not allowed: the section has {adata.n_vars} genes; pass fewer"
        )
    if gene_sets is not None:
        genes = GeneNames.from_table(adata.var)
        if not any(genes.matches(symbol) for symbols in gene_sets.values() for symbol in symbols):
            raise InputError(
                f"--gene-sets {options.gene_sets}: none of its symbols is a gene of this section (such as "
                f"{genes.symbols[0]}); pass gene sets of the same species and kind of gene name"
            )


def _check_n_domains(adata: AnnData, options: RunOptions) -> None:
    """Raise `InputError` for too many domains (see `DomainParams`) as soon as the number of pixels is known."""
    if options.n_domains is None:
        return
    _, pixel, section = _adata.read_grid(adata)
    n_pixels = len(np.unique(np.column_stack([section, pixel])[section >= 0], axis=0))
    max_domains = max(2, n_pixels // sx.DomainParams().min_pixels_per_domain)
    if options.n_domains > max_domains:
        raise InputError(
            f"--n-domains {options.n_domains} is not allowed: {n_pixels} pixels allow up to {max_domains}; pass fewer"
        )


def embed(adata: AnnData, options: RunOptions, timer: StageTimer) -> Any:
    """Rasterize and embed; return the fitted model."""
    with timer.stage("rasterize"):
        sx.pp.rasterize(adata, spatial_key=options.spatial_key or "spatial", library_key=options.library_key)
    _check_n_domains(adata, options)
    with timer.stage("embed"):
        return sx.tl.embed(
            adata,
            n_modules=options.n_modules or "auto",
            layer=options.layer,
            library_key=options.library_key,
            reference=options.reference_argument,
            config=options.to_config(),
            device=options.device,
            seed=options.seed,
            progress=sys.stderr.isatty(),
        )


def analyze(
    adata: AnnData, options: RunOptions, gene_sets: dict[str, list[str]] | None, timer: StageTimer
) -> DataFrame | None:
    """Run all tools that follow the embedding; return the enrichment if there are gene sets."""
    if _has_modules(adata):
        with timer.stage("module_stability"):
            sx.tl.module_stability(adata, seed=options.seed, progress=sys.stderr.isatty())
    with timer.stage("svg"):
        sx.tl.svg(adata, seed=options.seed)
    with timer.stage("interactions"):
        sx.tl.interactions(adata, seed=options.seed)
    if options.n_domains is not None:
        with timer.stage("domains"):
            sx.tl.domains(adata, n_domains=options.n_domains, seed=options.seed)
    if gene_sets is None:
        return None
    with timer.stage("enrich"):
        return sx.tl.enrich(adata, gene_sets)


def _has_modules(adata: AnnData) -> bool:
    return bool((_adata.read_modules(adata) != _adata.keys.UNASSIGNED).any())
