"""The scoreboard: every entry on every section with every seed, and the scores."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .entries import Entry
from .jobs import Job, Run, obtain
from .results import Results
from .runner import HALF, OTHER_HALF, PARTS, WHOLE
from .scores import Case, partner_of, score_agreement, score_half, score_pair, score_whole
from .sections import PAIRS, Section
from .sources import code_digest, digest


@dataclass(frozen=True)
class Board:
    """Runs of a scoreboard.

    Attributes
    ----------
    available
        All available sections; those in `sections` are run, but the partner of a section may be another one.
    work
        Folder of stored runs and scores.
    """

    sections: list[Section]
    entries: list[Entry]
    seeds: range
    work: Path
    available: list[Section]
    resources: Path | None = None
    parts: tuple[str, ...] = PARTS
    timeout: float = 1800.0
    retry: bool = False

    def run(self) -> Results:
        """Run everything that is not stored yet, and compute all scores."""
        results, runs = Results(), {}
        steps = len(self.sections) * len(self.seeds) * len(self.entries) * len(self.parts)
        with tqdm(total=steps, unit="run", desc="scoreboard", mininterval=1 if sys.stderr.isatty() else 30) as bar:
            for section in self.sections:
                for seed in self.seeds:
                    case = self.case(section, seed)
                    for entry in self.entries:
                        done = self.run_parts(case, entry, results, bar)
                        runs[section.name, seed, entry.name] = done
                        results.add(section.name, seed, entry.name, self.score(case, done))
        self.score_pairs(runs, results)
        return results

    def case(self, section: Section, seed: int) -> Case:
        return Case(section, seed, self.resources, partner_of(section, self.available))

    def run_parts(self, case: Case, entry: Entry, results: Results, bar: tqdm) -> dict[str, Run]:
        """Runs by part, up to the first failure."""
        done: dict[str, Run] = {}
        section, seed = case.section, case.seed
        for left, part in zip(range(len(self.parts), 0, -1), self.parts, strict=True):
            bar.set_postfix_str(f"{section.name}, seed {seed}, {entry.name}, {part}", refresh=sys.stderr.isatty())
            reason = results.given_up(section.name, entry.name)
            if reason is None:
                run = obtain(Job(section, entry, seed, part), self.work, timeout=self.timeout, retry=self.retry)
                if run.failed is None:
                    done[part] = run
                    bar.update()
                    continue
                reason = run.failed
                if run.everywhere or run.timed_out:
                    results.give_up(None if run.everywhere else section.name, entry.name, reason)
            results.fail(section.name, seed, entry.name, reason)
            bar.update(left)
            break
        return done

    def score(self, case: Case, done: dict[str, Run]) -> dict[str, float]:
        """Scores of the runs of an entry."""
        scores: dict[str, float] = {}
        if WHOLE in done:
            run = done[WHOLE]
            scores |= self.stored_or_new(case, [run], lambda: score_whole(case, run.array("z"), run.array("module")))
            scores |= run.cost
        if HALF in done:
            half = done[HALF]
            scores |= self.stored_or_new(
                case, [half], lambda: score_half(case, half.array("z"), half.array("projected"))
            )
        if HALF in done and OTHER_HALF in done:
            a, b = done[HALF], done[OTHER_HALF]
            scores |= self.stored_or_new(
                case, [a, b], lambda: score_agreement(case, arrays(a, b, "z"), arrays(a, b, "module"))
            )
        return scores

    def score_pairs(self, runs: dict[tuple[str, int, str], dict[str, Run]], results: Results) -> None:
        """Scores of pairs of sections, under the names of both."""
        for first, second, seed in self.pairs():
            cases = self.case(first, seed), self.case(second, seed)
            for entry in self.entries:
                pair = [runs[section.name, seed, entry.name].get(WHOLE) for section in (first, second)]
                if pair[0] is not None and pair[1] is not None:
                    values = self.score_pair(cases, pair[0], pair[1])
                    results.add(f"{first.name} | {second.name}", seed, entry.name, values)

    def score_pair(self, cases: tuple[Case, Case], a: Run, b: Run) -> dict[str, float]:
        return self.stored_or_new(cases[0], [a, b], lambda: score_pair(cases, arrays(a, b, "z")))

    def pairs(self) -> Iterator[tuple[Section, Section, int]]:
        """Pairs of sections that are both run."""
        section_of_name = {section.name: section for section in self.sections}
        for first, second in PAIRS:
            if first in section_of_name and second in section_of_name:
                for seed in self.seeds:
                    yield section_of_name[first], section_of_name[second], seed

    def stored_or_new(self, case: Case, runs: list[Run], compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Stored scores of these runs, or new ones."""
        partner = case.partner.digest(case.seed) if case.partner is not None else ""
        sets = [[p.name, p.stat().st_size] for p in sorted(self.resources.glob("*.gmt"))] if self.resources else []
        code = code_digest(f"{__package__}.scores")
        key = digest([case.section.name, case.seed, [run.stem.name for run in runs], partner, sets, code])
        path = self.work / case.section.name / f"figures-{key}.json"
        if not path.is_file():
            part = path.with_suffix(".part")
            part.write_text(json.dumps(compute()))
            os.replace(part, path)
        return json.loads(path.read_text())


def arrays(a: Run, b: Run, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """An array of both runs."""
    return a.array(name), b.array(name)
