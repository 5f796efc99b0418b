"""The command line. Progress goes to stderr, results to stdout or files; bad input is one line and exit code 2.

Everything heavy is imported inside the commands, so that ``spacex --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import spacex as sx
from spacex._infra.atomic_write import FULL_DISK
from spacex._infra.errors import InputError, WorkerError
from spacex.cli._interrupt import INTERRUPTED, WORDS, stoppable
from spacex.cli._log import log_status, quiet
from spacex.cli._spelling import in_options, options_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Spatially co-expressed genes from spatial transcriptomics sections.",
)
# What typer raises for wrong options; the class itself lives in click or, since typer 0.26, inside typer.
UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

Result = Annotated[Path, typer.Argument(metavar="RESULT.h5ad", help="Result of spacex run.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spacex {sx.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write the result here.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Simulate a section, run the whole job on it and print what was recovered."""
    from spacex.cli._run import run_demo

    run_demo(out, seed=seed, device=device)


@app.command()
def run(
    input: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help=".h5ad, .zarr, a vendor's output folder, or a table of counts. Several, or a folder of .h5ad and "
            ".zarr, are run one after the other or as --workers and --scheduler say, each into a folder below DIR.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder of the result.")],
    coordinates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Coordinates of the spots, where INPUT is a table of counts.")
    ] = None,
    bin: Annotated[
        str | None, typer.Option(help="Size of bins: Visium HD 002um, 008um, 016um or cells; Stereo-seq 50, in DNBs.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="Beginning of the file names of one sample in a folder of several.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer with raw counts, X or raw; found where it is left out.")
    ] = None,
    spatial_key: Annotated[
        str | None, typer.Option(help="Key of obsm with the coordinates, or two columns of obs, such as x,y.")
    ] = None,
    library_key: Annotated[str | None, typer.Option(help="Column of obs that names the sections.")] = None,
    n_modules: Annotated[
        int | None, typer.Option(min=1, help="Number of modules; found from the data if left out.")
    ] = None,
    n_domains: Annotated[
        int | None, typer.Option(min=2, help="Number of tissue domains; none are made if left out.")
    ] = None,
    gene_sets: Annotated[
        Path | None, typer.Option(metavar="FILE.gmt", help="Gene sets to look for in the modules.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes or GPUs of each machine that share the genes.")] = 1,
    num_nodes: Annotated[int, typer.Option(min=1, help="Machines; needs srun or torchrun.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="auto; ddp: with the processes of srun or torchrun; ddp_spawn: with new ones here.")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="Of training: 32-true, bf16-mixed or 16-mixed.")] = "32-true",
    workers: Annotated[int, typer.Option(min=1, help="Sections that are run at a time, of several.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler, such as tcp://host:8786, that runs sections.")
    ] = None,
    lazy: Annotated[
        bool, typer.Option("--lazy", help="Leave the counts of a .h5ad or .zarr on disk: for sections beyond memory.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run of the same job stopped.")
    ] = False,
) -> None:
    """Run the whole job on a section.

    DIR gets result.h5ad, genes.csv, modules.csv, model/, report.html and run.json; with --n-domains also domains.csv,
    with --gene-sets also enrichment.csv. Of several sections, each has such a folder below DIR, and sections.csv lists
    them; with --resume the complete ones are not run again.
    """
    from spacex.cli._batch import run_many, sections_in
    from spacex.cli._run import Options, run_file

    options = Options(
        coordinates=coordinates,
        bin=bin,
        sample=sample,
        layer=layer,
        spatial_key=spatial_key,
        library_key=library_key,
        n_modules=n_modules,
        n_domains=n_domains,
        gene_sets=gene_sets,
        seed=seed,
        device=device,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=precision,
        lazy=lazy,
    )
    options.config()  # says what is wrong before any work
    sections = sections_in(input)
    if len(sections) == 1 and sections == input and scheduler is None:
        run_file(sections[0], out, options, resume=resume)
        return
    raise typer.Exit(run_many(sections, out, options, resume=resume, workers=workers, scheduler=scheduler))


@app.command()
def query(
    result: Result,
    gene: Annotated[str, typer.Argument(help="Name or symbol of a gene.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of genes to print.")] = 20,
) -> None:
    """Print the genes most similar to a gene, as a table with tabs."""
    table = sx.tl.similar_genes(sx.read(result), gene, n=n)
    typer.echo(table.to_csv(sep="\t", index=False, float_format="%.4g"), nl=False)


@app.command()
def impute(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Targeted section: .h5ad, a vendor's folder.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Section or cells that measure more genes.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.h5ad", help="File to write.")],
    genes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Names or symbols of genes to predict, one a line; all that TARGET lacks if left out."
        ),
    ] = None,
    counts: Annotated[bool, typer.Option("--counts", help="Expected counts instead of their log1p.")] = False,
    layer: Annotated[str | None, typer.Option(help="Layer of TARGET with its counts, X or raw.")] = None,
    spatial_key: Annotated[
        str | None, typer.Option(help="Key of TARGET's obsm with the coordinates, or two columns of obs.")
    ] = None,
    library_key: Annotated[str | None, typer.Option(help="Column of TARGET's obs that names the sections.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Give a targeted section the genes that its panel lacks, from a reference of the same tissue."""
    wanted = None
    if genes is not None:
        try:
            wanted = [line.strip() for line in genes.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (UnicodeDecodeError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise InputError(
                f"--genes '{genes}' cannot be read: {why}; pass a file, the name of a gene a line"
            ) from error
    for place in (target, reference):
        if place.exists() and out.exists() and out.samefile(place):
            raise InputError(f"-o {out} is {place}, which would be replaced; pass the name of another file")
    found = sx.tl.impute(
        sx.read(target), sx.read(reference), genes=wanted, counts=counts, layer=layer,
        spatial_key=spatial_key or "spatial", library_key=library_key, path=out, seed=seed, device=device,
    )  # fmt: skip
    reliable = int(found.var["predictable"].sum())
    log_status(f"wrote {out}: {found.n_obs} cells × {found.n_vars} genes, of which {reliable} can be predicted")


@app.command()
def report(
    result: Result,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.html", help="File to write.")] = Path("report.html"),
) -> None:
    """Write the report of a result: one HTML file that needs nothing else."""
    from spacex.report import write_report

    write_report(sx.read(result), out)
    log_status(f"wrote {out}")


def _refuse_empty(given: list[str]) -> None:
    """Raise `InputError` for an empty value, which a shell leaves of an unset variable: a path would be this folder."""
    for before, value in zip(["", *given], given, strict=False):
        if not value or (value.startswith("--") and value.endswith("=")):
            option = value.rstrip("=") or (before if before.startswith("-") else "")
            what = f"{option} has no value" if option else "an argument is empty"
            raise InputError(f"{what}; pass one (perhaps a variable of the shell is not set)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code.

    0, 1 for a lost worker, 2 for bad input, 130 when interrupted and 143 when terminated.

    Examples
    --------
    >>> from spacex.cli import main
    >>> main(["query", "no_such_file.h5ad", "MBP"])
    2
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)  # not the app itself, which would set a hook for tracebacks
    options = options_of(getattr(command, "commands", {}).get(given[0] if given else ""))
    with quiet(options), stoppable() as stop:
        try:
            code, last = _outcome(command, given)
        except BaseException:
            if not stop.code:
                raise
            code, last = stop.code, ""
        if code and stop.code:  # whatever a library made of it
            code, last = stop.code, WORDS[signal.Signals(stop.number)]
    if last:
        log_status(in_options(last, options))
    if arguments is None and FULL_DISK in last:
        os._exit(code)  # HDF5 crashes when it is to close a file that it could not write
    return code


def _outcome(command: Any, given: list[str]) -> tuple[int, str]:
    """Run a command line; its exit code, and what is to be said last."""
    try:
        _refuse_empty(given)
        # Outside of its standalone mode typer returns exit codes and lets errors through; it exits with 1 by itself
        # when the reader of stdout, such as head, has seen enough.
        code = int(command(given or ["--help"], prog_name="spacex", standalone_mode=False) or 0)
        return code, WORDS[signal.SIGINT] if code == INTERRUPTED else ""
    except UsageError as error:
        return 2, f"{error.format_message().rstrip('.')} (see spacex --help)"
    except InputError as error:
        return 2, str(error)
    except WorkerError as error:
        return 1, str(error)
    except OSError as error:
        return 2, f"'{error.filename}': {error.strerror}" if error.filename and error.strerror else str(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED, WORDS[signal.SIGINT]
