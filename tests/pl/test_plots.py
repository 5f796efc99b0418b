"""Plots draw the results on new or passed Axes and do not change the AnnData."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from tests.get.positions import photographed

import spacex as sx
from spacex.get import module_sizes, spot_map
from spacex.pl.colors import OKABE_ITO_EXTENDED, category_colors, matched_colors

SPECIAL_NAMES = ["$a_1$", "<b>", "gene & co"]
HITS = pd.DataFrame({"gene": SPECIAL_NAMES, "similarity": [0.9, 0.8, 0.7], "qvalue": [1e-9, 0.01, 0.4]})


@pytest.fixture(scope="module")
def fitted():
    adata = sx.datasets.simulate_section(n_genes=100, n_spots=250, n_modules=3, n_domains=3, depth=1.0)
    adata.var_names = SPECIAL_NAMES + list(adata.var_names[3:])
    sx.tl.embed(adata, n_modules=3, config=sx.Config(epochs=1, boost_rounds=1), progress=False)
    sx.tl.svg(adata)
    sx.tl.domains(adata, n_domains=3)
    sx.tl.interactions(adata)
    sx.tl.pattern(adata, {"domain": ["domain1"]})
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    return adata


@pytest.fixture
def adata(fitted):
    return fitted.copy()


DRAWN = {
    "gene_images": lambda a, **k: sx.pl.gene_images(a, SPECIAL_NAMES, **k),
    "embedding": lambda a, **k: sx.pl.embedding(a, color=["module", "svg"], genes=SPECIAL_NAMES, **k),
    "modules": lambda a, **k: sx.pl.modules(a, n_modules=1, n_genes=2, **k),
    "svg": lambda a, **k: sx.pl.svg(a, n_genes=2, **k),
    "domains": lambda a, **k: sx.pl.domains(a, reference="domain", **k),
    "interactions": lambda a, **k: sx.pl.interactions(a, [*SPECIAL_NAMES, "gene0004", "gene0005"], **k),
    "pattern": lambda a, **k: sx.pl.pattern(a, HITS, n_genes=2, **k),
    "training": lambda a, **k: sx.pl.training(a, **k),
}
PANELS = {
    "gene_images": 3,
    "embedding": 2,
    "modules": 4,
    "svg": 4,
    "domains": 2,
    "interactions": 3,
    "pattern": 3,
    "training": 3,
}


@pytest.mark.parametrize("name", DRAWN)
def test_new_axes_are_returned(adata, name):
    drawn = DRAWN[name](adata)
    assert len(drawn) == PANELS[name]
    assert all(isinstance(ax, Axes) and ax.has_data() for ax in drawn)
    assert len({ax.figure for ax in drawn}) == 1
    drawn[0].figure.canvas.draw()  # names with $ are not parsed as formulas


@pytest.mark.parametrize("name", DRAWN)
def test_one_axes_contains_all_panels(adata, name):
    figure, (left, right) = plt.subplots(1, 2)
    assert DRAWN[name](adata, ax=left) is left
    assert len(left.child_axes) == PANELS[name]
    assert not right.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", DRAWN)
def test_passed_axes_are_drawn_on(adata, name):
    figure, axes = plt.subplots(1, PANELS[name])
    assert list(DRAWN[name](adata, ax=axes)) == list(axes)
    assert all(ax.has_data() for ax in axes)
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", DRAWN)
def test_wrong_number_of_axes_raises(adata, name):
    _, axes = plt.subplots(1, 7)
    with pytest.raises(sx.InputError, match=f"7 item\\(s\\) for {PANELS[name]} panel"):
        DRAWN[name](adata, ax=axes)


@pytest.mark.parametrize("name", ["gene_images", "svg"])
def test_figures_are_saved(adata, name, tmp_path):
    DRAWN[name](adata, save=tmp_path / "figure.png")
    DRAWN[name](adata, save=tmp_path / "figure.pdf")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000


def test_drawing_does_not_change_the_adata(adata):
    before = adata.copy()
    for draw in DRAWN.values():
        draw(adata)
    pd.testing.assert_frame_equal(adata.var, before.var)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.varm) == set(before.varm)
    assert set(adata.uns["spacex"]) == set(before.uns["spacex"])


def test_a_single_panel_is_one_axes(adata):
    assert isinstance(sx.pl.gene_images(adata, SPECIAL_NAMES[0]), Axes)
    assert isinstance(sx.pl.embedding(adata), Axes)
    _, ax = plt.subplots()
    assert sx.pl.domains(adata, ax=ax) is ax
    assert not ax.child_axes


@pytest.mark.parametrize(
    ("slot", "draw", "call"),
    [
        ("varm:X_spacex", lambda a: sx.pl.modules(a), "sx.tl.embed"),
        ("var:spacex_module", lambda a: sx.pl.modules(a), "sx.tl.embed"),
        ("var:spacex_module", lambda a: sx.pl.embedding(a), "sx.tl.embed"),
        ("var:spacex_svg_score", lambda a: sx.pl.svg(a), "sx.tl.svg"),
        ("var:spacex_svg_score", lambda a: sx.pl.embedding(a, color="svg"), "sx.tl.svg"),
        ("obs:spacex_domain", lambda a: sx.pl.domains(a), "sx.tl.domains"),
        ("obs:spacex_pattern", lambda a: sx.pl.pattern(a, HITS), "sx.tl.pattern"),
        ("varp:spacex_interactions", lambda a: sx.pl.interactions(a), "sx.tl.interactions"),
        ("varm:X_spacex", lambda a: sx.pl.interactions(a, SPECIAL_NAMES), "sx.tl.embed"),
        ("uns:spacex", lambda a: sx.pl.training(a), "sx.tl.embed"),
        ("uns:spacex", lambda a: sx.pl.gene_images(a, SPECIAL_NAMES, smooth=1), "sx.pp.rasterize"),
        ("obsm:spatial", lambda a: sx.pl.gene_images(a, SPECIAL_NAMES), "spatial_key"),
    ],
)
def test_missing_slot_names_the_call(adata, slot, draw, call):
    where, key = slot.split(":")
    if where in ("var", "obs"):
        setattr(adata, where, getattr(adata, where).drop(columns=key))
    else:
        del getattr(adata, where)[key]
        adata.obs = adata.obs.drop(columns=["array_row", "array_col"], errors="ignore")  # an alternative to coordinates
    with pytest.raises(sx.InputError, match=call):
        draw(adata)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda a: sx.pl.gene_images(a, "gene00007"), "close to it"),
        (lambda a: sx.pl.gene_images(a, []), "genes is empty"),
        (lambda a: sx.pl.gene_images(a, SPECIAL_NAMES, value="raw"), "value='raw'"),
        (lambda a: sx.pl.gene_images(a, SPECIAL_NAMES, smooth=-1), "smooth=-1"),
        (lambda a: sx.pl.embedding(a, color="size"), "color='size'"),
        (lambda a: sx.pl.modules(a, modules=["99"]), "there is no module 99"),
        (lambda a: sx.pl.modules(a, enriched=HITS), "enriched lacks the columns"),
        (lambda a: sx.pl.pattern(a, pd.DataFrame({"gene": SPECIAL_NAMES})), "matches is not a table"),
        (lambda a: sx.pl.interactions(a, SPECIAL_NAMES[:2]), r"genes holds 2 gene\(s\)"),
        (lambda a: sx.pl.interactions(a, [*SPECIAL_NAMES, "gene00007"]), "close to it"),
        (lambda a: sx.pl.interactions(a, n_genes=1000), "n_genes=1000"),
        (lambda a: sx.pl.domains(a, reference="layer"), "reference='layer'"),
        (lambda a: sx.pl.domains(a, alpha=2), "alpha=2"),
        (lambda a: sx.pl.domains(a, palette="no_such_map"), "palette='no_such_map'"),
        (lambda a: sx.pl.domains(a, palette={"0": "red"}), "no color for 1, 2"),
    ],
)
def test_invalid_arguments_raise(adata, draw, message):
    with pytest.raises(sx.InputError, match=message):
        draw(adata)


def test_domains_over_the_photograph(adata):
    xy = adata.obsm["spatial"] - adata.obsm["spatial"].min(axis=0)
    adata.obsm["spatial"] = xy
    adata.uns["spatial"] = {"any": photographed(xy, 1.0)}
    under, spots = sx.pl.domains(adata).images
    assert under.get_array().shape[-1] == 3
    assert spots.get_alpha() < 1
    assert sx.pl.domains(adata, alpha=0.3).images[1].get_alpha() == 0.3
    assert sx.pl.domains(adata, image=False).images[1].get_alpha() == 1


def test_numbers_are_discs_over_the_photograph(adata):
    xy = adata.obsm["spatial"] - adata.obsm["spatial"].min(axis=0)
    adata.obsm["spatial"] = xy
    full = sx.pl.gene_images(adata, SPECIAL_NAMES[0]).images[1].get_array()
    adata.uns["spatial"] = {"any": photographed(xy, 1.0)}
    under, discs = sx.pl.gene_images(adata, SPECIAL_NAMES[0]).images
    assert under.get_array().shape[-1] == 3
    is_drawn = ~discs.get_array().mask
    assert 0.2 < is_drawn.sum() / (~full.mask).sum() < 0.6
    np.testing.assert_array_equal(discs.get_array()[is_drawn], full[is_drawn])  # with unchanged values
    assert len(np.unique(spot_map(adata, resolution=900).index[is_drawn])) == adata.n_obs  # all spots are visible
    assert sx.pl.gene_images(adata, SPECIAL_NAMES[0], image=False).images[1].get_array().mask.sum() == full.mask.sum()
    many = sx.pl.gene_images(adata, list(adata.var_names[:5]))
    assert many[0].images[0].get_array().shape[-1] == 4  # small maps have a gray background
    assert sx.pl.gene_images(adata, list(adata.var_names[:5]), image=True)[0].images[0].get_array().shape[-1] == 3


@pytest.mark.parametrize("name", sx.pl.__all__)
def test_arguments_follow_scanpy(name):
    arguments = inspect.signature(getattr(sx.pl, name)).parameters
    assert {"ax", "show", "save"} <= set(arguments)
    if "library_key" in arguments:  # draws maps of the tissue
        assert {"image", "cmap"} <= set(arguments)
    optional = list(arguments.values())[1:]
    assert all(a.kind == a.KEYWORD_ONLY for a in optional if a.default is not a.empty and a.name != "genes")


def test_unstable_modules_are_marked(adata):
    names = list(module_sizes(adata).index[:2])
    marked, plain = adata.copy(), sx.pl.modules(adata, modules=names, n_genes=0)
    for index in ("halves", "seeds"):
        values = adata.var["spacex_module"].astype(str).map({names[0]: 0.8, names[1]: 0.3})
        marked.var[f"spacex_module_jaccard_{index}"] = values
    axes = sx.pl.modules(marked, modules=names, n_genes=0)
    assert [ax.get_title() for ax in axes[1:]] == [
        plain[1].get_title(), plain[2].get_title() + "\nunstable"
    ]  # fmt: skip


def test_cards_show_their_most_significant_terms(adata):
    name = module_sizes(adata).index[0]
    terms = ["HALLMARK_MYC_TARGETS_V1", "Neuronal System_Homo sapiens_R-HSA-112316", "chance"]
    table = pd.DataFrame(
        {
            "module": name,
            "term": terms,
            "pvalue": [1e-9, 1e-5, 0.4],
            "qvalue": [1e-7, 1e-3, 0.9],
            "overlap": 3,
            "size": 9,
        }
    )
    axes = sx.pl.modules(adata, modules=[name], n_genes=1, enriched=table, n_terms=3)
    assert [text.get_text() for text in axes[1].texts] == ["myc targets v1", "Neuronal System"]


def test_heat_map_shows_cosines_in_the_order_of_the_dendrogram(adata):
    names = list(adata.var_names[:20])
    _, strip, heat = sx.pl.interactions(adata, names)
    shown = [label.get_text() for label in heat.get_yticklabels()]
    assert sorted(shown) == sorted(names)
    z = adata.varm["X_spacex"][[adata.var_names.get_loc(name) for name in shown]].astype(float)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(heat.images[0].get_array(), unit @ unit.T, atol=1e-6)
    # adjacent genes are more similar than others
    cosine = heat.images[0].get_array()
    assert np.diagonal(cosine, 1).mean() > cosine[np.triu_indices(20, 2)].mean()
    assert len(strip.patches) == 20


def test_by_default_the_best_connected_genes_are_drawn(adata):
    *_, heat = sx.pl.interactions(adata, n_genes=6)
    shown = [label.get_text() for label in heat.get_yticklabels()]
    degree = pd.Series(np.asarray(adata.varp["spacex_interactions"].sum(axis=1)).ravel(), adata.var_names)
    module = adata.var["spacex_module"].astype(str)
    for name in set(module[shown]):
        assert degree[module == name].idxmax() in shown


def test_domains_are_matched_to_reference_colors(adata):
    labels = pd.Categorical(["0"] * 6 + ["1"] * 5 + ["2"] * 3)
    reference = pd.Categorical(["b"] * 5 + ["a"] * 6 + [None] * 3)
    colors = matched_colors(labels, reference, {"a": "#0072b2", "b": "#e69f00"})
    assert (colors["0"], colors["1"]) == ("#e69f00", "#0072b2")
    assert colors["2"] not in ("#e69f00", "#0072b2")
    left, right = sx.pl.domains(adata, reference="domain")
    shown = [{h.get_label(): h.get_facecolor() for h in ax.get_legend().get_patches()} for ax in (left, right)]
    common = pd.crosstab(adata.obs["spacex_domain"].astype(str), adata.obs["domain"].astype(str))
    assert sum(shown[0][i] == shown[1][common.loc[i].idxmax()] for i in common.index) >= 2


def test_probability_of_domains_is_drawn(adata):
    axes = sx.pl.domains(adata, reference="domain", probability=True)
    assert [ax.get_title() for ax in axes] == ["SpaCEX domains", "domain", "probability of the domain"]
    adata.obs = adata.obs.drop(columns="spacex_domain_prob")
    with pytest.raises(sx.InputError, match=r"sx\.tl\.domains"):
        sx.pl.domains(adata, probability=True)


def test_imputed_genes_are_next_to_measured_genes(tmp_path):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3, depth=3.0)
    names = list(adata.var_names[40:])
    target = adata[:, adata.var_names != names[1]].copy()
    result = sx.tl.impute(target, adata, genes=names, progress=False)
    drawn = sx.pl.imputed(result, names[:2], target=target, reference=adata, save=tmp_path / "imputed.png")
    shown = [ax.get_title().split("\n")[0] for ax in drawn]
    kinds = ("in the reference", "imputed", "measured")
    assert shown == [f"{names[0]}, {kind}" for kind in kinds] + [f"{names[1]}, {kind}" for kind in kinds[:2]]
    left = [ax.get_position().x0 for ax in drawn]
    np.testing.assert_allclose(left[3:], left[:2])  # the panel of the unmeasured gene is empty
    assert "correlation" in drawn[1].get_title()
    assert "correlation" not in drawn[4].get_title()
    assert (tmp_path / "imputed.png").stat().st_size > 10_000
    best = sx.pl.imputed(result, n_genes=2)
    assert {ax.get_title().split(",")[0] for ax in best} == set(result.var["reliability"].nlargest(2).index)
    with pytest.raises(sx.InputError, match="was not imputed"):
        sx.pl.imputed(result, "gene0001")
    with pytest.raises(sx.InputError, match=r"result of sx\.tl\.impute"):
        sx.pl.imputed(adata)


def test_category_colors():
    assert category_colors(["0", "unassigned", "1"]) == {"0": "#0072b2", "1": "#e69f00", "unassigned": "#bfbfbf"}
    assert category_colors(["a"], {"a": "red"}) == {"a": "#ff0000"}
    assert category_colors(["a", "b"], ["black"]) == {"a": "#000000", "b": "#000000"}
    assert len(set(category_colors([str(i) for i in range(16)]).values())) == len(OKABE_ITO_EXTENDED) == 16
    assert len(set(category_colors([str(i) for i in range(30)], "turbo").values())) == 30


def test_a_line_marks_the_number_of_modules(adata):
    drawn = next(ax for ax in sx.pl.training(adata) if ax.get_xlabel() == "modules")
    marked = [line for line in drawn.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in marked] == [adata.uns["spacex"]["embed"]["n_modules"]]
