"""The scoreboard: SpaCEX, its ablations, linear baselines and published peers on every section, in one table.

    python -m benchmarks.quality --data DIR --resources DIR [--csv FILE] [--page FILE] [--seeds 3] [--quick]

Sections are the files of --data with counts, coordinates and at least 600 genes, and simulated ones. Every run is a
process of its own and is kept under --work until the code behind it changes: a scoreboard that was killed goes on
where it was. Tables go to stdout, progress to stderr.
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
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data", type=Path, help="folder of .h5ad sections; without it only simulated ones are run")
    made.add_argument("--resources", type=Path, help="folder of .gmt gene sets; without it there is no EGAD")
    made.add_argument("--csv", type=Path, help="write all figures: section, seed, entry, metric, value")
    made.add_argument("--page", type=Path, help="write the tables as Markdown")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--first-seed", type=int, default=0, help="seeds from 100 on were not looked at in development")
    made.add_argument("--quick", action="store_true", help="smaller simulated sections, and real ones of small size")
    made.add_argument("--sections", nargs="+", metavar="NAME", help="default: all that are found")
    made.add_argument(
        "--entries", nargs="+", metavar="NAME", help="names or kinds (SpaCEX, ablation, linear, peer, setting)"
    )
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="the halves need further runs")
    made.add_argument("--work", type=Path, default=WORK, help="folder in which runs are kept")
    made.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="of one run")
    made.add_argument("--retry", action="store_true", help="try again what failed")
    return made


def chosen_sections(args: argparse.Namespace, at_hand: list[Section], small: list[Section]) -> list[Section]:
    if not args.sections:
        return small if args.quick else at_hand
    named = {section.name: section for section in [*at_hand, *small]}
    unknown = sorted(set(args.sections) - set(named))
    if unknown:
        raise SystemExit(f"no section {', '.join(unknown)}; there are {', '.join(named)}")
    return [named[name] for name in dict.fromkeys(args.sections)]


def chosen_entries(names: list[str] | None) -> list[Entry]:
    found = entries()
    if not names:
        return [entry for entry in found.values() if entry.kind not in ON_REQUEST]
    unknown = sorted(set(names) - set(found) - {entry.kind for entry in found.values()})
    if unknown:
        raise SystemExit(f"no entry {', '.join(unknown)}; there are {', '.join(found)}")
    return [entry for entry in found.values() if entry.name in names or entry.kind in names]


def command(args: argparse.Namespace) -> str:
    """The command that makes the page again, without the folders of this machine."""
    words = ["python -m benchmarks.quality"]
    words += ["--data DIR"] * bool(args.data) + ["--resources DIR"] * bool(args.resources)
    words += [f"--seeds {args.seeds}", f"--first-seed {args.first_seed}"] + ["--quick"] * args.quick
    for name in ("sections", "entries"):
        given = getattr(args, name)
        words += [f"--{name} " + " ".join(f"'{v}'" if " " in v else v for v in given)] if given else []
    if args.parts != list(PARTS):
        words.append("--parts " + " ".join(f"'{v}'" if " " in v else v for v in args.parts))
    return " ".join([*words, f"--timeout {args.timeout:g}", "--page FILE"])


def show(results: Results, board: Board, args: argparse.Namespace) -> None:
    """Print the tables, and write the files that were asked for."""
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
    at_hand = list(find_sections(args.data))
    small = list(find_sections(args.data, quick=True))
    board = Board(
        sections=chosen_sections(args, at_hand, small),
        entries=chosen_entries(args.entries),
        seeds=range(args.first_seed, args.first_seed + args.seeds),
        work=args.work.resolve(),
        at_hand=at_hand,
        resources=args.resources,
        parts=tuple(part for part in PARTS if part in args.parts),
        timeout=args.timeout,
        retry=args.retry,
    )
    show(board.run(), board, args)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that the run under way ends too
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
