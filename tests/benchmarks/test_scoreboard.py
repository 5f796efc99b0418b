"""The scoreboard: metrics against loops and known truth, tables, and a complete run."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from benchmarks.quality import __main__ as scoreboard
from benchmarks.quality.entries import OURS, entries
from benchmarks.quality.genesets import egad, gene_sets, members, species_of
from benchmarks.quality.grids import Cell, Grid, as_markdown, as_text, gain_grid, metric_grids, summary_grid
from benchmarks.quality.halves import halves
from benchmarks.quality.jobs import Job, obtain
from benchmarks.quality.layers import agreed_peaks, peak_purity
from benchmarks.quality.linear import LINEAR
from benchmarks.quality.metrics import BY_NAME, METRICS
from benchmarks.quality.neighbors import chance, follows_expression, nearest, overlap, purity, reciprocal_rank
from benchmarks.quality.ours import spacex
from benchmarks.quality.page import Page
from benchmarks.quality.planted import direction_ari, module_ari, planted_purity
from benchmarks.quality.results import COLUMNS, Results
from benchmarks.quality.runner import HALF, WHOLE
from benchmarks.quality.sections import Section, find_sections
from benchmarks.quality.settings import SETTINGS, TRAINING
from benchmarks.quality.sources import closure, code_digest

import spacex as sx

TINY = {"n_genes": 120, "n_spots": 300, "n_modules": 3, "depth": 1.0}


@pytest.fixture(scope="module")
def cloud():
    """Return vectors of 60 genes, one of which is not embedded."""
    z = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    z[7] = np.nan
    return z


@pytest.fixture(scope="module")
def tiny():
    return Section("tiny", simulation=TINY)


def cosine(z):
    z = np.nan_to_num(z.astype(float))
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return z @ z.T


# -- neighbors ------------------------------------------------------------------------------------


def test_nearest_equals_a_full_sort(cloud):
    z = np.delete(cloud, 7, axis=0)
    similarity = cosine(z)
    np.fill_diagonal(similarity, -np.inf)
    expected = np.argsort(-similarity, axis=1)[:, :4]
    assert np.array_equal(np.sort(nearest(z, 4), axis=1), np.sort(expected, axis=1))


def test_purity_of_separate_and_of_shuffled_labels():
    label = np.repeat([0, 1, 2], 20)
    z = np.eye(3)[label] + np.random.default_rng(0).normal(0, 0.01, (60, 3))
    assert purity(z, label).mean() == 1
    z[:20] = np.nan
    share = purity(z, label)
    assert share[20:].mean() == 1
    assert np.allclose(share[:20], 19 / 59)
    assert np.allclose(chance(label), 19 / 59)


def test_overlap_of_equal_rotated_and_unrelated_embeddings(cloud):
    rng = np.random.default_rng(1)
    z = np.delete(cloud, 7, axis=0)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert overlap(z, z, 10) == 1
    assert overlap(z, z @ turn, 10) == pytest.approx(1)
    unrelated = [overlap(z, rng.standard_normal(z.shape), 10) for _ in range(20)]
    assert np.mean(unrelated) == pytest.approx(10 / 58, abs=0.02)


def test_missing_genes_have_the_overlap_of_random_neighbors(cloud):
    value = overlap(cloud, cloud, 10)
    assert value == pytest.approx((59 + 10 / 59) / 60)


def test_reciprocal_rank_equals_a_loop(cloud):
    genes = np.array([g for g in range(60) if g != 7])
    assert reciprocal_rank(cloud, cloud, genes) == 1
    query = cloud + np.random.default_rng(2).normal(0, 1, cloud.shape).astype(np.float32)
    finite_cloud, finite_query = np.nan_to_num(cloud), np.nan_to_num(query)
    slow = []
    for gene in genes:
        with np.errstate(invalid="ignore"):
            similarity = finite_cloud @ finite_query[gene] / np.linalg.norm(finite_cloud, axis=1)
        similarity[7] = 0
        slow.append(1 / (1 + (similarity > similarity[gene]).sum()))
    assert reciprocal_rank(cloud, query, genes) == pytest.approx(np.mean(slow))


def test_missing_genes_have_the_middle_rank(cloud):
    assert reciprocal_rank(cloud, cloud, np.array([7])) == pytest.approx(2 / 61)


def test_embeddings_of_expression_follow_expression():
    level = np.linspace(0, 5, 200)
    angle = np.column_stack([np.cos(level / 4), np.sin(level / 4)])
    assert follows_expression(angle, np.exp(level)) > 0.99
    shuffled = np.random.default_rng(0).permutation(level)
    assert abs(follows_expression(angle, np.exp(shuffled))) < 0.3


# -- planted modules ------------------------------------------------------------------------------


def test_perfect_modules_have_perfect_scores():
    planted = np.repeat([-1, 0, 1, 2], 30)
    z = np.vstack([np.random.default_rng(0).standard_normal((30, 3)), np.eye(3)[planted[30:]] + 0.01])
    total = np.arange(120.0)
    assert planted_purity(z, planted, total) == {"purity": 1, "purity, low third": 1}
    assert direction_ari(z, planted, 0) == 1
    z[:30] = 0  # a separate cluster
    assert direction_ari(z, planted, 0, all_genes=True) == 1
    module = np.where(planted < 0, "unassigned", planted.astype(str))
    assert module_ari(module, planted) == {"module ARI": 1, "all-gene ARI": 1, "null unassigned": 1}


def test_purity_of_the_low_third_uses_genes_with_few_counts():
    planted = np.repeat([0, 1], 30)
    z = np.eye(2)[planted] + np.random.default_rng(0).normal(0, 0.01, (60, 2))
    total = np.tile(np.arange(30.0), 2)
    low = total <= np.quantile(total, 1 / 3)
    z[low] = z[low][:, ::-1]  # these genes are closer to the other module
    metrics = planted_purity(z, planted, total)
    assert metrics["purity, low third"] < 0.5 < metrics["purity"]


def test_a_single_cluster_scores_zero():
    planted = np.repeat([-1, 0, 1], 20)
    assert module_ari(np.full(60, "0"), planted) == {"module ARI": 0, "all-gene ARI": 0, "null unassigned": 0}


# -- gene sets ------------------------------------------------------------------------------------


def slow_egad(z, sets):
    """Neighbor voting by definition: every member is held out in turn."""
    network = (1 + cosine(z)) / 2
    np.fill_diagonal(network, 0)
    means = []
    for inside in sets:
        aurocs = []
        for hidden in inside:
            voters = [g for g in inside if g != hidden]
            score = network[:, voters].sum(axis=1) / network.sum(axis=1)
            rivals = np.array([score[g] for g in range(len(z)) if g not in inside])
            higher, level = score[hidden] - rivals > 1e-12, np.abs(score[hidden] - rivals) <= 1e-12
            aurocs.append(np.mean(higher) + np.mean(level) / 2)
        means.append(np.mean(aurocs))
    return np.mean(means)


def test_egad_equals_the_slow_loop(cloud):
    rng = np.random.default_rng(3)
    sets = [np.sort(rng.choice(60, size, replace=False)) for size in (8, 12, 20)]
    sets.append(np.arange(8))  # includes the gene that is not embedded
    assert egad(cloud, sets) == pytest.approx(slow_egad(cloud, sets), abs=1e-9)


def test_egad_at_known_cases():
    groups = np.repeat([0, 1], 20)
    rng = np.random.default_rng(0)
    z = np.eye(2)[groups] + rng.normal(0, 0.01, (40, 2))
    assert egad(z, [np.arange(20)]) > 0.99
    assert egad(np.full((40, 3), np.nan), [np.arange(10)]) == pytest.approx(0.5)


def test_gene_sets_are_selected_by_species_size_and_measured_genes(tmp_path):
    names = [f"GENE{i}" for i in range(300)]
    lines = {
        "fits": [*names[:10], "OTHER"],
        "small": [*names[:7], "OTHER"],
        "large": names[:201],
        "twice": names[:8] * 2,
    }
    text = "\n".join("\t".join([term, "", *genes]) for term, genes in lines.items())
    (tmp_path / "hallmark.human.gmt").write_text(text)
    (tmp_path / "hallmark.mouse.gmt").write_text("none\t\tA")
    assert species_of(names) == "human"
    assert species_of(["Actb", "Gapdh"]) == "mouse"
    assert [len(s) for s in members(tmp_path / "hallmark.human.gmt", names)] == [10, 8]
    assert {name: len(sets) for name, sets in gene_sets(names, tmp_path).items()} == {"EGAD Hallmark": 2}
    assert gene_sets(["Actb", "Gapdh"], tmp_path) == {}
    assert gene_sets(names, None) == {}


# -- layers ---------------------------------------------------------------------------------------


def layered(peaks, names, seed):
    """Return a section of three layers; the mean of gene g is four times higher in layer `peaks[g]`."""
    rng = np.random.default_rng(seed)
    layer = np.repeat(["L1", "L2", "L3", "NA"], 50)
    mean = np.full((200, len(peaks)), 5.0)
    for g, peak in enumerate(peaks):
        mean[layer == peak, g] *= 4
    mean[:, :2] = 0.05  # two genes below the median
    return ad.AnnData(
        sp.csr_matrix(rng.poisson(mean).astype(np.float32)),
        obs=pd.DataFrame({"layer": layer}, index=[f"s{i}" for i in range(200)]),
        var=pd.DataFrame(index=names),
    )


def test_peaks_agree_in_both_sections():
    names = [f"g{i}" for i in range(12)]
    first = ["L1", "L2", *["L1"] * 3, *["L2"] * 3, *["L3"] * 2, "NA", "L1"]
    second = [*first[:11], "L2"]
    peaks = agreed_peaks(layered(first, names, 0), layered(second, names, 1)[:, ::-1].copy())
    assert "g11" not in peaks.index  # other peak
    assert not {"g0", "g1", "g10"} & set(peaks.index)  # few counts; peak outside the layers
    assert set(peaks.index) <= {f"g{i}" for i in range(2, 10)}
    assert all(peaks[name] == first[int(name[1:])] for name in peaks.index)


def test_peak_purity_is_compared_with_chance():
    peaks = pd.Series(np.repeat(["L1", "L2"], 15), index=[f"g{i}" for i in range(30)])
    names = pd.Index(["x", *peaks.index[::-1]])
    z = np.vstack([[1, 1], np.eye(2)[(peaks[::-1] == "L1").astype(int)] + 0.01])
    metrics = peak_purity(z, names, peaks)
    assert metrics["peak-layer purity"] == 1
    assert metrics["peak-layer gain"] == pytest.approx(1 - 14 / 29)


# -- sections, halves, entries --------------------------------------------------------------------


def test_halves_sum_to_the_counts(tiny):
    adata = tiny.load(0)
    first, second = halves(adata, 3)
    assert abs(first.X + second.X - adata.X).max() == 0
    assert first.X.sum() / adata.X.sum() == pytest.approx(0.5, abs=0.02)
    assert (halves(adata, 3)[0].X != first.X).nnz == 0
    assert (halves(adata, 4)[0].X != first.X).nnz > 0


def test_sections_with_counts_and_coordinates_are_listed(tmp_path):
    def write(name, matrix, spatial=True):
        adata = ad.AnnData(matrix.astype(np.float32))
        if spatial:
            adata.obsm["spatial"] = np.random.default_rng(0).uniform(size=(len(matrix), 2))
        adata.write_h5ad(tmp_path / f"{name}.h5ad")

    counts = np.random.default_rng(0).poisson(1.0, (20, 700))
    write("good", counts)
    write("panel", counts[:, :100])
    write("nowhere", counts, spatial=False)
    write("intensities", counts + 0.5)
    sparse = ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obsm={"spatial": np.zeros((20, 2))})
    sparse.write_h5ad(tmp_path / "sparse.h5ad")
    sections = list(find_sections(tmp_path))
    assert [s.name for s in sections if not s.simulated] == ["good", "sparse"]
    assert sum(s.simulated for s in sections) == 3


def without_first_spots(adata):
    """Return one half of the counts, without those of five spots, so that pixels are missing."""
    first = halves(adata, 0)[0]
    first.X = sp.csr_matrix(sp.diags((np.arange(adata.n_obs) >= 5).astype(np.float32)) @ first.X)
    return first


@pytest.mark.parametrize("name", LINEAR)
def test_baselines_project_the_fitted_counts_onto_their_embedding(tiny, name):
    adata = tiny.load(0)
    outcome = LINEAR[name](adata, 0)
    is_embedded = np.isfinite(outcome.z).all(axis=1)
    assert is_embedded.sum() > 100
    assert np.allclose(outcome.project(tiny.load(0))[is_embedded], outcome.z[is_embedded], atol=1e-5)
    assert np.isfinite(outcome.project(without_first_spots(adata))[is_embedded]).all()


def test_spacex_projects_counts_with_missing_pixels(tiny):
    adata = tiny.load(0)
    outcome = spacex(adata, 0, config=sx.Config(epochs=0, boost_rounds=0))
    z = outcome.project(without_first_spots(tiny.load(0)))
    assert z.shape == outcome.z.shape
    assert np.isfinite(z[np.isfinite(outcome.z).all(axis=1)]).all()
    assert np.allclose(outcome.project(tiny.load(0)), outcome.z, atol=1e-4, equal_nan=True)
    assert set(outcome.module) <= {"unassigned", *map(str, range(60))}


def test_digests_of_entries_depend_on_their_code():
    files = closure("spacex.tl._embed")
    assert {"spacex.embedding.encoder", "spacex.imaging.gene_images", "spacex._adata.grid"} <= set(files)
    assert not any(name.startswith(("spacex.pl", "spacex.report", "spacex.cli")) for name in files)
    assert code_digest("spacex.imaging.gene_images") != code_digest("spacex.imaging.smoothing")
    all_entries = entries()
    assert next(iter(all_entries)) == OURS
    assert len({entry.digest for entry in all_entries.values()}) == len(all_entries)


# -- tables ---------------------------------------------------------------------------------------


@pytest.fixture
def results():
    results = Results()
    for seed in (0, 1):
        results.add("a", seed, OURS, {"purity": 0.8 + seed / 10, "seconds": 9.0})
        results.add("a", seed, "PCA", {"purity": 0.7, "seconds": 1.0})
        results.add("b", seed, OURS, {"purity": 0.5})
        results.add("b", seed, "PCA", {"purity": 0.6})
        results.add("b", seed, "peer", {"purity": 0.55})
        results.fail("a", seed, "peer", "ValueError: no")
    return results


def test_grids_mark_the_best_and_show_failures(results):
    purity_grid, seconds = metric_grids(results, [OURS, "PCA", "peer"])
    name, cells = purity_grid.rows[0]
    assert name == "a"
    assert [cell.text for cell in cells] == ["0.850 ± 0.071", "0.700 ± 0.000", "failed"]
    assert [cell.best for cell in cells] == [True, False, False]
    assert [cell.best for cell in seconds.rows[0][1]] == [False, True]
    assert "0.850 ± 0.071*" in as_text(purity_grid)
    assert "**0.850 ± 0.071**" in as_markdown(purity_grid)


def test_summary_and_gains_show_losses(results):
    summary = summary_grid(results, [OURS, "PCA", "peer"])
    assert [cell.text for cell in summary.rows[0][1]] == ["0.675", "0.650", "0.550 on 1 of 2"]
    gain = gain_grid(results, {OURS: "SpaCEX", "PCA": "linear", "peer": "peer"}, "linear")
    assert gain.rows[0][0] == "purity"
    assert [cell.text for cell in gain.rows[0][1]] == ["+0.025", "-0.100 b", "1 of 2"]
    assert [cell.text for cell in gain.rows[1][1]] == ["-8.00", "-8.00 a", "0 of 1"]


def test_bars_in_names_are_escaped():
    text = as_markdown(Grid("gain", "note", ["worst section", "wins"], [("overlap", [Cell("-0.01 a | b"), Cell("3")])]))
    assert "| overlap | -0.01 a \\| b | 3 |" in text


def test_csv_is_in_long_format(results, tmp_path):
    results.write_csv(tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv")
    assert list(table) == COLUMNS
    assert len(table) == 14
    assert table.query("section == 'a' and seed == 1 and metric == 'purity' and entry == @OURS")["value"].item() == 0.9


def test_report_contains_all_tables_and_failures(results):
    grids = list(metric_grids(results, [OURS, "PCA", "peer"]))
    kinds = {OURS: "SpaCEX", "PCA": "linear", "peer": "peer"}
    summary = [summary_grid(results, list(kinds))]
    page = Page("python -m x", kinds, dict.fromkeys(kinds, "description"), summary, grids, results.failure_lines())
    text = page.render()
    for part in ("python -m x", "**0.850 ± 0.071**", "peer: ValueError: no; on a (seed 0, 1)", "numpy", "## Summary"):
        assert part in text
    assert text.count("\n### ") == 3


def test_every_metric_has_a_meaning_and_a_unique_name():
    assert len(BY_NAME) == len(METRICS)
    assert all(metric.meaning for metric in METRICS)


# -- complete runs --------------------------------------------------------------------------------


def test_runs_are_stored_and_reused(tiny, tmp_path):
    job = Job(tiny, entries()["residual PCA"], 0, HALF)
    run = obtain(job, tmp_path, timeout=120)
    assert run.failed is None
    assert run.array("z").shape == run.array("projected").shape
    assert run.array("module") is None
    assert 0 < run.cost["CPU seconds"] < 60
    assert 50 < run.cost["peak MB"] < 4000
    stamp = job.stem(tmp_path).with_name(job.stem(tmp_path).name + ".json").stat().st_mtime_ns
    obtain(job, tmp_path, timeout=120)
    assert job.stem(tmp_path).with_name(job.stem(tmp_path).name + ".json").stat().st_mtime_ns == stamp


def test_failures_are_stored_with_their_reason(tiny, tmp_path):
    job = Job(tiny, entries()["log PCA"], 0, WHOLE)
    late = obtain(job, tmp_path, timeout=0.01)
    assert late.timed_out
    assert late.failed == "stopped after 0.01 s"
    assert obtain(job, tmp_path, timeout=120).timed_out  # stored, unless retry=True
    assert obtain(job, tmp_path, timeout=120, retry=True).failed is None
    broken = Section("broken", simulation={**TINY, "n_spots": -1})
    assert "n_spots=-1" in obtain(Job(broken, entries()["log PCA"], 0, WHOLE), tmp_path, timeout=120).failed


@pytest.mark.slow
def test_the_command_writes_table_and_report(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scoreboard, "find_sections", lambda data, quick=False: [tiny])
    words = ["--seeds", "1", "--entries", "residual PCA", "log PCA", "--work", str(tmp_path / "work")]
    scoreboard.main([*words, "--csv", str(tmp_path / "r.csv"), "--page", str(tmp_path / "p.md")])
    out = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "r.csv")
    assert set(table["entry"]) == {"residual PCA", "log PCA"}
    expected = {"purity", "K-means ARI", "MRR", "neighbor agreement", "r expression", "seconds", "peak MB"}
    assert expected <= set(table["metric"])
    values = table.pivot_table(index="metric", columns="entry", values="value")
    assert 1 / 3 < values.loc["purity", "residual PCA"] <= 1
    assert all(word in out for word in ("purity", "summary", "residual PCA"))
    report = (tmp_path / "p.md").read_text()
    assert "python -m benchmarks.quality --seeds 1" in report
    assert str(tmp_path) not in report
    paths = list((tmp_path / "work" / "tiny").glob("figures-*.json"))
    assert paths
    assert all(isinstance(json.loads(path.read_text()), dict) for path in paths)


def test_unknown_names_raise(tmp_path):
    with pytest.raises(SystemExit, match="no entry nonsense"):
        scoreboard.main(["--entries", "nonsense"])
    with pytest.raises(SystemExit, match="no section nonsense"):
        scoreboard.main(["--sections", "nonsense"])
    with pytest.raises(SystemExit, match="is not a folder"):
        scoreboard.main(["--data", str(tmp_path / "none")])


def test_settings_run_only_on_request():
    assert "setting" not in {entry.kind for entry in scoreboard.chosen_entries(None)}
    chosen = scoreboard.chosen_entries(["setting"])
    assert {entry.name for entry in chosen} == set(SETTINGS)
    assert len({entry.digest for entry in chosen}) == len(chosen), "no two settings share a stored run"
    assert all(config.is_trained for config in TRAINING.values())
    assert entries()["patch 4"].description == "SpaCEX with patch_size=4, epochs=4"
