"""A run killed at any point leaves complete files or none; resumed, its results equal an uninterrupted run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import pytest

import spacex as sx
from spacex.cli._outputs import CHECKPOINT, PARTIAL_PREFIX, RESULT_FILES

TABLES = ("genes.csv", "modules.csv", "domains.csv", "enrichment.csv")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("killed")
    adata = sx.datasets.simulate_section(n_genes=40, n_spots=120, n_modules=2, n_domains=3, depth=1.5)
    adata.write_h5ad(folder / "section.h5ad")
    (folder / "sets.gmt").write_text("set\t-\t" + "\t".join(adata.var_names[:20]) + "\n")
    script = str(Path(__file__).with_name("killed.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, str(folder), str(folder / "section.h5ad"), str(folder / "sets.gmt")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return folder, json.loads(done.stdout.splitlines()[-1])


def contents(folder: Path) -> dict[str, Any]:
    """Return all results that must not depend on interruptions, without times and memory."""
    results: dict[str, Any] = {name: (folder / name).read_bytes() for name in TABLES}
    results |= {f"model/{file.name}": file.read_bytes() for file in sorted((folder / "model").iterdir())}
    result = ad.read_h5ad(folder / "result.h5ad")
    results["varm"] = {key: result.varm[key].tobytes() for key in result.varm}
    results["varp"] = result.varp["spacex_interactions"].toarray().tobytes()
    results["obs"], results["var"] = result.obs.to_csv(), result.var.to_csv()
    report = (folder / "report.html").read_text()
    results["report"] = re.sub(r'<table class="stages">.*?</table>', "", report, flags=re.DOTALL)
    return results


@pytest.mark.slow
def test_resumed_runs_give_the_same_bytes(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, ends = runs
    expected = contents(folder / "uninterrupted")
    assert contents(folder / "again") == expected
    for end in ends:
        if end["point"][0] != "moment":
            assert end["killed"] in (-signal.SIGKILL, 0), end
        assert end["resumed"] == 0, end
        resumed = contents(folder / end["out"])
        assert {name for name in expected if resumed[name] != expected[name]} == set(), end
        assert {path.name for path in (folder / end["out"]).iterdir()} == set(RESULT_FILES), end
    killed = [end for end in ends if end["killed"] != 0]
    assert len(killed) > 30


@pytest.mark.slow
def test_killed_runs_leave_complete_files_or_none(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, ends = runs
    old, new = contents(folder / "old"), contents(folder / "uninterrupted")
    for end in ends:
        left = folder / f"{end['out']}-killed"
        if not left.is_dir():
            continue
        for path in left.rglob("*"):
            hidden = any(part.startswith((CHECKPOINT, PARTIAL_PREFIX, ".")) for part in path.relative_to(left).parts)
            name = str(path.relative_to(left))
            if path.is_file() and not hidden and name in new:
                assert path.read_bytes() in (old[name], new[name]), end
            if path.name in ("result.h5ad", "section.h5ad") and CHECKPOINT not in str(path) and not hidden:
                ad.read_h5ad(path)
        if (left / "run.json").exists():
            assert json.loads((left / "run.json").read_text())
            same = contents(left)
            assert all(same[name] == old[name] for name in old) or all(same[name] == new[name] for name in new), end


@pytest.mark.slow
def test_no_temporary_files_beside_the_folders(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = runs
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
