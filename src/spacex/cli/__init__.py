"""The command line: progress on stderr, results on stdout or in files, one line and exit code 2 for invalid input.

Heavy dependencies are imported inside the commands, so that ``spacex --help`` is fast.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

import spacex as sx
from spacex._infra.errors import DiskFullError, InputError, WorkerError
from spacex.cli._interrupt import EXIT_INTERRUPTED, MESSAGES, handle_signals
from spacex.cli._log import library_log, log_status
from spacex.cli._option_names import option_names, to_option_names

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find spatially co-expressed genes in spatial transcriptomics sections.",
)
# Base class of the errors that typer raises for wrong options: defined in click or, since typer 0.26, in typer.
UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

Result = Annotated[Path, typer.Argument(metavar="RESULT.h5ad", help="Result of `spacex run`.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Device = Annotated[str, typer.Option(help="Device of the computation: auto, cpu or cuda.")]


def _print_version(requested: bool) -> None:
    if requested:
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
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder of the result (optional).")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Analyze a simulated section and print scores of the recovered truth."""
    from spacex.cli._run import run_demo

    run_demo(out, seed=seed, device=device)


@app.command()
def run(
    input: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            help="Section: .h5ad, .zarr, output folder of a vendor, or table of counts. Several sections, or a folder "
            "of .h5ad and .zarr files, are analyzed one by one, each into a subfolder of DIR.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder of the result.")],
    coordinates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Coordinates of the spots, if INPUT is a table of counts.")
    ] = None,
    bin: Annotated[
        str | None,
        typer.Option(help="Bin size: 002um, 008um, 016um or cells (Visium HD), or a number of DNBs (Stereo-seq)."),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="File name prefix of one sample, if the folder contains several.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer with raw counts, or X, or raw; default: detected.")] = None,
    spatial_key: Annotated[
        str | None,
        typer.Option(help="Key of obsm with the coordinates, or columns of obs, such as x,y; default: detected."),
    ] = None,
    library_key: Annotated[str | None, typer.Option(help="Column of obs with the section of each spot.")] = None,
    n_modules: Annotated[
        int | None, typer.Option(min=1, help="Number of gene modules; default: chosen from the data.")
    ] = None,
    n_domains: Annotated[int | None, typer.Option(min=2, help="Number of tissue domains; default: no domains.")] = None,
    gene_sets: Annotated[
        Path | None, typer.Option(metavar="FILE.gmt", help="Gene sets to test for enrichment in the modules.")
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            metavar="auto|none|human|mouse|FILE",
            help="What other sections know about genes: the shipped reference of the species, none, or a file.",
        ),
    ] = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Number of processes or GPUs per machine.")] = 1,
    num_nodes: Annotated[int, typer.Option(min=1, help="Number of machines; requires srun or torchrun.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="How processes start: auto, ddp (by srun or torchrun) or ddp_spawn (by spacex).")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="Precision of training: 32-true, bf16-mixed or 16-mixed.")] = "32-true",
    workers: Annotated[int, typer.Option(min=1, help="Number of sections to run in parallel.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler that runs the sections, such as tcp://host:8786."),
    ] = None,
    lazy: Annotated[
        bool,
        typer.Option("--lazy", help="Leave the counts of a .h5ad or .zarr on disk, to save memory."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run, or skip complete sections.")
    ] = False,
) -> None:
    """Analyze a section and write all results to a folder.

    Writes result.h5ad, genes.csv, modules.csv, model/, report.html and run.json; with --n-domains also domains.csv,
    with --gene-sets also enrichment.csv. Several sections are written to subfolders and listed in sections.csv.
    """
    from spacex.cli._batch import list_sections, run_sections
    from spacex.cli._run import run_file
    from spacex.cli._run_options import RunOptions

    options = RunOptions(
        coordinates=coordinates,
        bin=bin,
        sample=sample,
        layer=layer,
        spatial_key=spatial_key,
        library_key=library_key,
        reference=reference,
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
    options.to_config()  # raises an error for invalid settings
    sections = list_sections(input)
    if len(sections) == 1 and sections == input and scheduler is None:
        run_file(sections[0], out, options, resume=resume)
        return
    raise typer.Exit(run_sections(sections, out, options, resume=resume, workers=workers, scheduler=scheduler))


@app.command()
def reference(
    section: Annotated[
        list[Path],
        typer.Argument(
            metavar="SECTION",
            help="Any inputs of `spacex run`, or folders of .h5ad and .zarr files.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.safetensors", help="File to write.")],
    update: Annotated[
        Path | None, typer.Option(metavar="FILE.safetensors", help="Reference to which the sections are added.")
    ] = None,
    library_key: Annotated[
        str | None, typer.Option(help="Column of obs with the section of each spot, if an input holds several.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer with raw counts, or X, or raw; default: detected.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the random numbers; default: 0, or that of --update.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of sections to read in parallel.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler that reads the sections, such as tcp://host:8786."),
    ] = None,
) -> None:
    """Summarize what many sections know about genes in one file.

    The summary is kept by tissue and technology (uns["tissue"], uns["technology"] of the sections); it holds no counts.
    """
    from spacex.cli._reference import ReferenceOptions, write_reference

    options = ReferenceOptions(library_key, layer, seed, workers, scheduler)
    write_reference(section, out, options, update=update)


@app.command("reference-vectors", hidden=True)
def reference_vectors(
    section: Annotated[Path, typer.Argument(metavar="SECTION", help="Any input of `spacex run`.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Existing folder for the files.")],
    library_key: Annotated[str | None, typer.Option(help="Column of obs with the section of each spot.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer with raw counts, or X, or raw.")] = None,
    seed: Seed = 0,
) -> None:
    """Write the vectors of one input to files that `spacex reference` accepts in its place."""
    for file in sx.Reference.write_sections(section, out, library_key=library_key, layer=layer, seed=seed):
        log_status(f"wrote {file}")


@app.command()
def query(
    result: Result,
    gene: Annotated[str, typer.Argument(help="Name or symbol of a gene.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of genes to print.")] = 20,
    space: Annotated[
        str,
        typer.Option(
            metavar="section|cofunction",
            help="Similarity of patterns in this section, or of function, with what other sections know.",
        ),
    ] = "section",
) -> None:
    """Print the genes most similar to a gene as a tab-separated table."""
    checked = cast(Literal["section", "cofunction"], space)  # by similar_genes
    table = sx.tl.similar_genes(sx.read(result), gene, n=n, space=checked)
    typer.echo(table.to_csv(sep="\t", index=False, float_format="%.4g"), nl=False)


@app.command()
def impute(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Targeted section: any input of `spacex run`.")],
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE",
            help="Section or single cells with more genes, or human, mouse or a file of `spacex reference`.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.h5ad", help="File to write.")],
    genes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Genes to predict, one gene name per line; default: all that are missing in TARGET, or the reliable "
            "ones with human, mouse or a .safetensors file.",
        ),
    ] = None,
    counts: Annotated[bool, typer.Option("--counts", help="Predict expected counts instead of their log1p.")] = False,
    layer: Annotated[str | None, typer.Option(help="Layer of TARGET with raw counts, or X, or raw.")] = None,
    spatial_key: Annotated[
        str | None, typer.Option(help="Key of TARGET.obsm with the coordinates, or columns of TARGET.obs, such as x,y.")
    ] = None,
    library_key: Annotated[str | None, typer.Option(help="Column of TARGET.obs with the section of each spot.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Predict genes missing in a targeted section.

    REFERENCE is a section or single cells of the same tissue; or, without one, human, mouse or a .safetensors file of
    `spacex reference`, with which values are relative.
    """
    gene_names = None
    if genes is not None:
        try:
            gene_names = [line.strip() for line in genes.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (UnicodeDecodeError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise InputError(
                f"--genes '{genes}' cannot be read: {reason}; pass a text file with one gene name per line"
            ) from error
    for path in (target, reference):
        if path.exists() and out.exists() and out.samefile(path):
            raise InputError(f"-o {out} would overwrite the input {path}; pass another file name")
    imputed = sx.tl.impute(
        sx.read(target), _read_reference(reference), genes=gene_names, counts=counts, layer=layer,
        spatial_key=spatial_key or "spatial", library_key=library_key, path=out, seed=seed, device=device,
    )  # fmt: skip
    n_predictable = int(imputed.var["predictable"].sum())
    log_status(f"wrote {out}: {imputed.n_obs} cells × {imputed.n_vars} genes, {n_predictable} of them predictable")


def _read_reference(reference: Path) -> Any:
    """The argument REFERENCE of `impute`: a reference by name or file, or else the section."""
    is_name = str(reference) in ("human", "mouse") and not reference.exists()
    return str(reference) if is_name or reference.suffix == ".safetensors" else sx.read(reference)


@app.command()
def report(
    result: Result,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.html", help="File to write.")] = Path("report.html"),
) -> None:
    """Write the report of a result as one self-contained HTML file."""
    from spacex.report import write_report

    write_report(sx.read(result), out)
    log_status(f"wrote {out}")


def _check_empty(arguments: list[str]) -> None:
    """Raise `InputError` for an empty argument, which would mean the current folder if it is a path."""
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            option = argument.rstrip("=") or (previous if previous.startswith("-") else "")
            problem = f"{option} has no value" if option else "an argument is empty"
            raise InputError(f"{problem}; pass a value (a shell variable may be unset)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        Arguments of the command; default: ``sys.argv[1:]``.

    Returns
    -------
    0, 1 for a lost worker process, 2 for invalid input, 130 after SIGINT, 143 after SIGTERM.

    Examples
    --------
    >>> from spacex.cli import main
    >>> main(["query", "no_such_file.h5ad", "MBP"])
    2
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)  # calling the app would install a hook for tracebacks
    options = option_names(getattr(command, "commands", {}).get(words[0] if words else ""))
    with library_log(options), handle_signals() as request:
        disk_full = False
        try:
            code, message = _run_command(command, words)
        except DiskFullError as error:
            code, message, disk_full = 2, str(error), True
        except BaseException:
            if not request.exit_code:
                raise
            code, message = request.exit_code, ""
        if code and request.exit_code:  # a library may have replaced the exception of the signal
            code, message = request.exit_code, MESSAGES[signal.Signals(request.signal_number)]
    if message:
        log_status(to_option_names(message, options))
    if arguments is None and disk_full:
        os._exit(code)  # HDF5 crashes when it closes a file that it could not write
    return code


def _run_command(command: Any, words: list[str]) -> tuple[int, str]:
    """Run a command; return its exit code and the final message."""
    try:
        _check_empty(words)
        # Without standalone mode, typer returns exit codes and raises errors. It exits with code 1 when the reader
        # of stdout, such as head, closes the pipe.
        code = int(command(words or ["--help"], prog_name="spacex", standalone_mode=False) or 0)
        return code, MESSAGES[signal.SIGINT] if code == EXIT_INTERRUPTED else ""
    except UsageError as error:
        return 2, f"{error.format_message().rstrip('.')} (see spacex --help)"
    except InputError as error:
        return 2, str(error)
    except WorkerError as error:
        return 1, str(error)
    except DiskFullError:
        raise
    except OSError as error:
        return 2, f"'{error.filename}': {error.strerror}" if error.filename and error.strerror else str(error)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED, MESSAGES[signal.SIGINT]
