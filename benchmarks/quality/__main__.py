"""The scoreboard: SpaCEX, its ablations, linear baselines and published peers on every section, in one table.

    python -m benchmarks.quality --data DIR --resources DIR [--csv FILE] [--page FILE] [--seeds 3] [--quick]

Sections are the files of --data with counts, coordinates and at least 600 genes, and simulated ones. Each run is a
separate process, and its result is stored under --work until the code changes, so that a killed scoreboard can resume.
Tables go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from .board import Board
from .entries import ON_REQUEST, Entry, entries
from .grids import as_text, gain_grid, metric_grids, summary_grid
from .page import Page
from .results import Results
from .runner import PARTS
from .sections import Section, find_sections

WORK = Path(__file__).parents[2] / ".scoreboard"


def parser() -> argparse.ArgumentParser:
    argument_parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    argument_parser.add_argument("--data", type=Path, help="folder of .h5ad sections; default: only simulated ones")
    argument_parser.add_argument("--resources", type=Path, help="folder of .gmt gene sets; required for EGAD")
    argument_parser.add_argument("--csv", type=Path, help="write all figures: section, seed, entry, metric, value")
    argument_parser.add_argument("--page", type=Path, help="write the tables as Markdown")
    argument_parser.add_argument("--seeds", type=int, default=3)
    argument_parser.add_argument("--first-seed", type=int, default=0, help="seeds >= 100 were not used in development")
    argument_parser.add_argument("--quick", action="store_true", help="smaller simulated sections and small real ones")
    argument_parser.add_argument("--sections", nargs="+", metavar="NAME", help="default: all")
    argument_parser.add_argument(
        "--entries", nargs="+", metavar="NAME", help="names or kinds (SpaCEX, ablation, linear, peer, setting)"
    )
    argument_parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="runs: all counts, and halves of the counts"
    )
    argument_parser.add_argument("--work", type=Path, default=WORK, help="folder of stored runs")
    argument_parser.add_argument(
        "--timeout", type=float, default=1800.0, metavar="SECONDS", help="time limit of one run"
    )
    argument_parser.add_argument("--retry", action="store_true", help="repeat failed runs")
    return argument_parser


def chosen_sections(args: argparse.Namespace, available: list[Section], small: list[Section]) -> list[Section]:
    if not args.sections:
        return small if args.quick else available
    named = {section.name: section for section in [*available, *small]}
    unknown = sorted(set(args.sections) - set(named))
    if unknown:
        raise SystemExit(f"no section {', '.join(unknown)}; available: {', '.join(named)}")
    return [named[name] for name in dict.fromkeys(args.sections)]


def chosen_entries(names: list[str] | None) -> list[Entry]:
    available = entries()
    if not names:
        return [entry for entry in available.values() if entry.kind not in ON_REQUEST]
    unknown = sorted(set(names) - set(available) - {entry.kind for entry in available.values()})
    if unknown:
        raise SystemExit(f"no entry {', '.join(unknown)}; available: {', '.join(available)}")
    return [entry for entry in available.values() if entry.name in names or entry.kind in names]


def command(args: argparse.Namespace) -> str:
    """Return the command that reproduces the page, with placeholders for folders."""
    words = ["python -m benchmarks.quality"]
    words += ["--data DIR"] * bool(args.data) + ["--resources DIR"] * bool(args.resources)
    words += [f"--seeds {args.seeds}", f"--first-seed {args.first_seed}"] + ["--quick"] * args.quick
    for name in ("sections", "entries"):
        values = getattr(args, name)
        words += [f"--{name} " + " ".join(f"'{v}'" if " " in v else v for v in values)] if values else []
    if args.parts != list(PARTS):
        words.append("--parts " + " ".join(f"'{v}'" if " " in v else v for v in args.parts))
    return " ".join([*words, f"--timeout {args.timeout:g}", "--page FILE"])


def show(results: Results, board: Board, args: argparse.Namespace) -> None:
    """Print the tables, and write the requested files."""
    if args.csv:
        results.write_csv(args.csv)
    kinds = {entry.name: str(entry.kind) for entry in board.entries}
    grids, summary = [], []
    if results.rows:
        grids = list(metric_grids(results, list(kinds)))
        summary = [summary_grid(results, list(kinds)), *(gain_grid(results, kinds, k) for k in ("linear", "peer"))]
        summary = [grid for grid in summary if grid.rows]
    failures = results.failure_lines()
    print("\n\n".join(map(as_text, [*grids, *summary])))
    if failures:
        print("\nfailures\n" + "\n".join(failures))
    if args.page:
        descriptions = {entry.name: entry.description for entry in board.entries}
        page = Page(command(args), kinds, descriptions, summary, grids, failures)
        args.page.write_text(page.render())


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    if args.data is not None and not args.data.is_dir():
        raise SystemExit(f"--data {args.data} is not a folder")
    if args.resources is not None and not args.resources.is_dir():
        raise SystemExit(f"--resources {args.resources} is not a folder")
    available = list(find_sections(args.data))
    small = list(find_sections(args.data, quick=True))
    board = Board(
        sections=chosen_sections(args, available, small),
        entries=chosen_entries(args.entries),
        seeds=range(args.first_seed, args.first_seed + args.seeds),
        work=args.work.resolve(),
        available=available,
        resources=args.resources,
        parts=tuple(part for part in PARTS if part in args.parts),
        timeout=args.timeout,
        retry=args.retry,
    )
    show(board.run(), board, args)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that the current run ends too
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
