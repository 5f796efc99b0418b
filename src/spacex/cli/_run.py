"""The job: read, rasterize, embed, test, pair, cluster, enrich, write."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from anndata import AnnData
from pandas import DataFrame

import spacex as sx
from spacex._infra.errors import InputError
from spacex.cli._checkpoint import Checkpoint, fingerprint, resume_state
from spacex.cli._log import log_status
from spacex.cli._outputs import check_folder, check_overwrite, write_folder
from spacex.cli._stage_timer import StageTimer
from spacex.distributed.process_group import detect_launcher, launcher_for
from spacex.gene_names import GeneNames

PIXELS_OF_A_DOMAIN = 5
"""Fewest pixels for each domain that `spacex.tl.domains` accepts."""


@dataclass(frozen=True)
class Options:
    """What the user chose, besides where from and where to."""

    coordinates: Path | None = None
    bin: str | None = None
    sample: str | None = None
    layer: str | None = None
    spatial_key: str | None = None
    library_key: str | None = None
    n_modules: int | None = None
    n_domains: int | None = None
    gene_sets: Path | None = None
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    lazy: bool = False

    def config(self) -> sx.Config:
        """The settings of the method: which machines do the work is all that the command line changes of them."""
        how: dict[str, Any] = {"strategy": self.strategy, "precision": self.precision}
        return sx.Config(devices=self.devices, num_nodes=self.num_nodes, **how)

    def flags(self) -> list[str]:
        """The same choices as a command line has them."""
        chosen = {
            "coordinates": self.coordinates, "bin": self.bin, "sample": self.sample, "layer": self.layer,
            "spatial-key": self.spatial_key, "library-key": self.library_key,
            "n-modules": self.n_modules, "n-domains": self.n_domains, "gene-sets": self.gene_sets,
            "seed": self.seed, "device": self.device, "devices": self.devices, "num-nodes": self.num_nodes,
            "strategy": self.strategy, "precision": self.precision,
        }  # fmt: skip
        # Whole paths: another machine may stand in another folder.
        plain = {name: value.absolute() if isinstance(value, Path) else value for name, value in chosen.items()}
        flags = [part for name, value in plain.items() if value is not None for part in (f"--{name}", str(value))]
        return [*flags, *(["--lazy"] if self.lazy else [])]

    def embedding(self) -> dict[str, Any]:
        """The choices that the embedding depends on."""
        places = fingerprint(self.coordinates) if self.coordinates is not None else None
        read = {
            "coordinates": places, "bin": self.bin, "sample": self.sample, "layer": self.layer,
            "spatial_key": self.spatial_key,
        }  # fmt: skip
        return {**read, "library_key": self.library_key, "n_modules": self.n_modules or "auto", "seed": self.seed}

    def all(self) -> dict[str, Any]:
        """Every choice that the result depends on, as JSON holds it."""
        sets = fingerprint(self.gene_sets) if self.gene_sets is not None else None
        return {**self.embedding(), "n_domains": self.n_domains, "gene_sets": sets}


def run_file(path: Path, out: Path, options: Options, *, resume: bool) -> None:
    """Run the job on a file and write everything to a folder.

    Of several processes that a launcher started, all embed; then the first goes on alone.
    """
    leads = _is_main_process(options)
    sets = sx.tl.read_gene_sets(options.gene_sets) if options.gene_sets is not None else None
    if not (path.is_file() or path.is_dir()) or (options.coordinates is not None and not options.coordinates.exists()):
        sx.read(path, coordinates=options.coordinates)  # says what is wrong
    given = [place for place in (path, options.coordinates, options.gene_sets) if place is not None]
    check_folder(out)
    check_overwrite(out, given)
    source = fingerprint(path)
    checkpoint = Checkpoint(out, {"input": source, "version": sx.__version__, **options.embedding()})
    choices = {"input": source, "version": sx.__version__, **options.all()}
    found = resume_state(checkpoint, choices) if resume else None
    if found == "complete":
        if leads:
            log_status(f"{out} holds the complete result of this job; nothing to do")
        return
    if found == "checkpoint" and not leads:
        return
    clock = StageTimer(silent=not leads)
    try:
        if found == "checkpoint":
            adata, clock.seconds = checkpoint.read(lazy=options.lazy)
            log_status(f"going on after the embedding, from {checkpoint.folder}")
            _check(adata, options, sets)
        else:
            with clock.stage("read"):
                adata = sx.read(
                    path, coordinates=options.coordinates, bin=options.bin, sample=options.sample, lazy=options.lazy
                )
            _check(adata, options, sets)
            model = embed(adata, options, clock)
            if not leads:
                return
            checkpoint.write(adata, model, clock.seconds)
        enrichment = analyse(adata, options, sets, clock)
        write_folder(adata, out, checkpoint.model, enrichment, choices=choices, name=path.name, clock=clock)
    except InputError:
        if checkpoint.written:
            checkpoint.remove()  # bad input leaves nothing behind, and what others left stays
        raise
    checkpoint.remove()
    log_status(f"wrote {out}")


def run_demo(out: Path | None, *, seed: int, device: str) -> None:
    """Run the job on a simulated section and print what was recovered of its truth."""
    from spacex.cli._recovery import recovery

    if out is not None:
        check_folder(out)
        check_overwrite(out)
    clock = StageTimer()
    with clock.stage("simulate"):
        adata = sx.datasets.simulate_section(seed=seed)
    options = Options(n_domains=adata.obs["domain"].nunique(), seed=seed, device=device)
    model = embed(adata, options, clock)
    analyse(adata, options, None, clock)
    if out is not None:
        choices = {"input": f"simulate_section(seed={seed})", "version": sx.__version__, **options.all()}
        write_folder(adata, out, model, None, choices=choices, name="simulated section", clock=clock)
        log_status(f"wrote {out}")
    for line in recovery(adata):
        typer.echo(line)


def _is_main_process(options: Options) -> bool:
    """Whether this process writes the result; an error where several would, each for itself."""
    config, found = options.config(), launcher_for()
    if found is not None and found.launcher == "torchrun" and config.n_processes == 1:
        raise InputError(
            f"torchrun started {found.size} processes, but --devices 1 --num-nodes 1 asks for one: pass as many as "
            "there are, so that they share the work"
        )
    place = detect_launcher(config)
    return place is None or place.rank == 0


def _check(adata: AnnData, options: Options, sets: dict[str, list[str]] | None) -> None:
    """What can be told before any work."""
    if options.n_domains is not None and options.n_domains >= adata.n_obs:
        raise InputError(f"--n-domains {options.n_domains} is not allowed: there are {adata.n_obs} spots; pass fewer")
    if options.n_modules is not None and options.n_modules > adata.n_vars:
        raise InputError(f"--n-modules {options.n_modules} is not allowed: there are {adata.n_vars} genes; pass fewer")
    if sets is not None:
        genes = GeneNames.from_table(adata.var)
        if not any(genes.matches(symbol) for symbols in sets.values() for symbol in symbols):
            raise InputError(
                f"--gene-sets {options.gene_sets}: none of its symbols is a gene of this section (such as "
                f"{genes.symbols[0]}); pass sets of the same species and kind of name"
            )


def _check_domains(adata: AnnData, options: Options) -> None:
    """What can be told once spots lie in pixels, and not only after the embedding."""
    if options.n_domains is None:
        return
    pixels = DataFrame(adata.obsm["spacex_pixel"], columns=["row", "column"])
    if options.library_key is not None:
        pixels["section"] = adata.obs[options.library_key].to_numpy()
    n_pixels = len(pixels[pixels["row"] >= 0].drop_duplicates())
    most = max(2, n_pixels // PIXELS_OF_A_DOMAIN)
    if options.n_domains > most:
        raise InputError(
            f"--n-domains {options.n_domains} is not allowed: {n_pixels} pixels are enough for {most}; pass fewer"
        )


def embed(adata: AnnData, options: Options, clock: StageTimer) -> Any:
    """Rasterize and embed; return the fitted model."""
    with clock.stage("rasterize"):
        sx.pp.rasterize(adata, spatial_key=options.spatial_key or "spatial", library_key=options.library_key)
    _check_domains(adata, options)
    with clock.stage("embed"):
        return sx.tl.embed(
            adata,
            n_modules=options.n_modules or "auto",
            layer=options.layer,
            library_key=options.library_key,
            config=options.config(),
            device=options.device,
            seed=options.seed,
            progress=sys.stderr.isatty(),
        )


def analyse(adata: AnnData, options: Options, sets: dict[str, list[str]] | None, clock: StageTimer) -> DataFrame | None:
    """Everything that follows the embedding; return the enrichment where there are gene sets."""
    with clock.stage("svg"):
        sx.tl.svg(adata, seed=options.seed)
    with clock.stage("interactions"):
        sx.tl.interactions(adata, seed=options.seed)
    if options.n_domains is not None:
        with clock.stage("domains"):
            sx.tl.domains(adata, n_domains=options.n_domains, seed=options.seed)
    if sets is None:
        return None
    with clock.stage("enrich"):
        return sx.tl.enrich(adata, sets)
