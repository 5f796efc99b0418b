"""Figures draw what is in the slots, where they are told to, and change nothing."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import spacex as sx
from spacex.get import gene_layout, gene_values, module_genes, module_maps, module_sizes, spot_map
from spacex.get._gene_layout import _neighbors
from spacex.pl.colors import OKABE_ITO_EXTENDED, category_colors, matched_colors

ODD = ["$a_1$", "<b>", "gene & co"]
HITS = pd.DataFrame({"gene": ODD, "similarity": [0.9, 0.8, 0.7], "qvalue": [1e-9, 0.01, 0.4]})


@pytest.fixture(scope="module")
def fitted():
    adata = sx.datasets.simulate_section(n_genes=100, n_spots=250, n_modules=3, n_domains=3, depth=1.0)
    adata.var_names = ODD + list(adata.var_names[3:])
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
    "gene_images": lambda a, **k: sx.pl.gene_images(a, ODD, **k),
    "embedding": lambda a, **k: sx.pl.embedding(a, color=["module", "svg"], genes=ODD, **k),
    "modules": lambda a, **k: sx.pl.modules(a, n_modules=1, n_genes=2, **k),
    "svg": lambda a, **k: sx.pl.svg(a, n_genes=2, **k),
    "domains": lambda a, **k: sx.pl.domains(a, reference="domain", **k),
    "interactions": lambda a, **k: sx.pl.interactions(a, [*ODD, "gene0004", "gene0005"], **k),
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
def test_new_axes_come_back(adata, name):
    drawn = DRAWN[name](adata)
    assert len(drawn) == PANELS[name]
    assert all(isinstance(ax, Axes) and ax.has_data() for ax in drawn)
    assert len({ax.figure for ax in drawn}) == 1
    drawn[0].figure.canvas.draw()  # names are no formulas: nothing fails to be set


@pytest.mark.parametrize("name", DRAWN)
def test_one_axes_holds_all_panels(adata, name):
    figure, (left, right) = plt.subplots(1, 2)
    assert DRAWN[name](adata, ax=left) is left
    assert len(left.child_axes) == PANELS[name]
    assert not right.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", DRAWN)
def test_given_axes_are_drawn_on(adata, name):
    figure, axes = plt.subplots(1, PANELS[name])
    assert list(DRAWN[name](adata, ax=axes)) == list(axes)
    assert all(ax.has_data() for ax in axes)
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", DRAWN)
def test_a_wrong_number_of_axes_is_an_error(adata, name):
    _, axes = plt.subplots(1, 7)
    with pytest.raises(sx.InputError, match=f"7 item\\(s\\) for {PANELS[name]} panel"):
        DRAWN[name](adata, ax=axes)


@pytest.mark.parametrize("name", ["gene_images", "svg"])
def test_figures_are_saved(adata, name, tmp_path):
    DRAWN[name](adata, save=tmp_path / "figure.png")
    DRAWN[name](adata, save=tmp_path / "figure.pdf")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000


def test_drawing_changes_nothing(adata):
    before = adata.copy()
    for draw in DRAWN.values():
        draw(adata)
    pd.testing.assert_frame_equal(adata.var, before.var)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.varm) == set(before.varm)
    assert set(adata.uns["spacex"]) == set(before.uns["spacex"])


def test_a_single_panel_is_one_axes(adata):
    assert isinstance(sx.pl.gene_images(adata, ODD[0]), Axes)
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
        ("varm:X_spacex", lambda a: sx.pl.interactions(a, ODD), "sx.tl.embed"),
        ("uns:spacex", lambda a: sx.pl.training(a), "sx.tl.embed"),
        ("uns:spacex", lambda a: sx.pl.gene_images(a, ODD, smooth=1), "sx.pp.rasterize"),
        ("obsm:spatial", lambda a: sx.pl.gene_images(a, ODD), "spatial_key"),
    ],
)
def test_a_missing_slot_names_the_call(adata, slot, draw, call):
    where, key = slot.split(":")
    if where in ("var", "obs"):
        setattr(adata, where, getattr(adata, where).drop(columns=key))
    else:
        del getattr(adata, where)[key]
        adata.obs = adata.obs.drop(
            columns=["array_row", "array_col"], errors="ignore"
        )  # which would do for coordinates
    with pytest.raises(sx.InputError, match=call):
        draw(adata)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda a: sx.pl.gene_images(a, "gene00007"), "close to it"),
        (lambda a: sx.pl.gene_images(a, []), "genes is empty"),
        (lambda a: sx.pl.gene_images(a, ODD, value="raw"), "value='raw'"),
        (lambda a: sx.pl.gene_images(a, ODD, smooth=-1), "smooth=-1"),
        (lambda a: sx.pl.embedding(a, color="size"), "color='size'"),
        (lambda a: sx.pl.modules(a, modules=["99"]), "there is no module 99"),
        (lambda a: sx.pl.modules(a, enriched=HITS), "enriched lacks the columns"),
        (lambda a: sx.pl.pattern(a, pd.DataFrame({"gene": ODD})), "found is not a table"),
        (lambda a: sx.pl.interactions(a, ODD[:2]), r"genes holds 2 gene\(s\)"),
        (lambda a: sx.pl.interactions(a, [*ODD, "gene00007"]), "close to it"),
        (lambda a: sx.pl.interactions(a, n_genes=1000), "n_genes=1000"),
        (lambda a: sx.pl.domains(a, reference="layer"), "reference='layer'"),
        (lambda a: sx.pl.domains(a, alpha=2), "alpha=2"),
        (lambda a: sx.pl.domains(a, palette="no_such_map"), "palette='no_such_map'"),
        (lambda a: sx.pl.domains(a, palette={"0": "red"}), "no color for 1, 2"),
    ],
)
def test_wrong_arguments_are_named(adata, draw, message):
    with pytest.raises(sx.InputError, match=message):
        draw(adata)


# What is drawn


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
def test_every_spot_is_where_it_is(technology):
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=300, n_modules=2, technology=technology)
    tissue = spot_map(adata, resolution=600)
    shown = np.unique(tissue.index)
    assert np.isin(np.arange(adata.n_obs), shown).all()
    row, col = np.indices(tissue.index.shape)
    on = tissue.index >= 0
    for axis, at in ((0, col), (1, row)):  # the picture is the positions, shifted and scaled, y downwards
        center = np.bincount(tissue.index[on], at[on]) / np.bincount(tissue.index[on])
        assert np.corrcoef(center, adata.obsm["spatial"][:, axis])[0, 1] > 0.999
    assert 0.02 < np.mean(~on) < 0.7  # neither a filled square nor lost dots


def test_spots_of_an_array_have_areas_alike():
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=300, n_modules=2)
    index = spot_map(adata, resolution=800).index
    area = np.bincount(index[index >= 0])
    assert np.median(np.abs(area / np.median(area) - 1)) < 0.05


def test_sections_stand_side_by_side(adata):
    adata.obs["slide"] = np.where(np.arange(adata.n_obs) % 2, "right", "left")
    tissue = spot_map(adata, library_key="slide")
    half = tissue.index.shape[1] // 2
    on_left = np.unique(tissue.index[:, : half - 1])
    assert (adata.obs["slide"].to_numpy()[on_left[on_left >= 0]] == "left").all()
    assert [name.text for name in tissue.labels] == ["left", "right"]
    assert sx.pl.gene_images(adata, ODD[0], library_key="slide").texts[0].get_text() == "left"


def photographed(xy: np.ndarray, scale: float, kind: str = "hires") -> dict[str, dict]:
    """A library whose image tells its own coordinates: red is x, green is y, in shares of the extent."""
    far = xy.max(axis=0) * scale
    height, width = int(far[1]) + 1, int(far[0]) + 1
    image = np.zeros((height, width, 3), dtype=np.float32)
    image[..., 0] = np.arange(width) / far[0]
    image[..., 1] = np.arange(height)[:, None] / far[1]
    return {"images": {kind: image}, "scalefactors": {f"tissue_{kind}_scalef": scale}}


def test_the_photograph_lies_under_the_spots(adata):
    xy = adata.obsm["spatial"] - adata.obsm["spatial"].min(axis=0)
    adata.obsm["spatial"] = xy
    assert spot_map(adata, image=True).image is None
    adata.uns["spatial"] = {"any": photographed(xy, 0.5)}
    assert spot_map(adata).image is None
    tissue = spot_map(adata, image=True)
    on = tissue.index >= 0
    for axis in (0, 1):
        seen = np.bincount(tissue.index[on], tissue.image[on, axis]) / np.bincount(tissue.index[on])
        inner = (xy > 0.05 * xy.max(axis=0)).all(axis=1) & (xy < 0.95 * xy.max(axis=0)).all(axis=1)
        np.testing.assert_allclose(seen[inner], (xy[:, axis] / xy[:, axis].max())[inner], atol=0.02)
    np.testing.assert_array_equal(tissue.image[0, 0], 1)  # beyond the image it is white


def test_every_section_has_its_own_photograph(adata):
    xy = adata.obsm["spatial"] - adata.obsm["spatial"].min(axis=0)
    adata.obsm["spatial"] = xy
    adata.obs["slide"] = np.where(np.arange(adata.n_obs) % 2, "right", "left")
    left = photographed(xy, 1.0, "lowres")
    left["images"]["lowres"] = np.uint8(255 * left["images"]["lowres"])[..., 0]  # grey, in bytes
    adata.uns["spatial"] = {"left": left}
    tissue = spot_map(adata, library_key="slide", image=True)
    half = tissue.index.shape[1] // 2
    assert (tissue.image[:, half + 5 :] == 1).all()
    assert tissue.image[:, : half - 5].min() < 0.1
    np.testing.assert_array_equal(tissue.image[..., 0], tissue.image[..., 1])


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
    whole = sx.pl.gene_images(adata, ODD[0]).images[1].get_array()
    adata.uns["spatial"] = {"any": photographed(xy, 1.0)}
    under, discs = sx.pl.gene_images(adata, ODD[0]).images
    assert under.get_array().shape[-1] == 3
    shown = ~discs.get_array().mask
    assert 0.2 < shown.sum() / (~whole.mask).sum() < 0.6
    np.testing.assert_array_equal(discs.get_array()[shown], whole[shown])  # in their true colours
    assert len(np.unique(spot_map(adata, resolution=900).index[shown])) == adata.n_obs  # none is lost
    assert sx.pl.gene_images(adata, ODD[0], image=False).images[1].get_array().mask.sum() == whole.mask.sum()
    many = sx.pl.gene_images(adata, list(adata.var_names[:5]))
    assert many[0].images[0].get_array().shape[-1] == 4  # small maps stand on grey
    assert sx.pl.gene_images(adata, list(adata.var_names[:5]), image=True)[0].images[0].get_array().shape[-1] == 3


@pytest.mark.parametrize("name", sx.pl.__all__)
def test_every_plot_takes_what_users_know_from_scanpy(name):
    arguments = inspect.signature(getattr(sx.pl, name)).parameters
    assert {"ax", "show", "save"} <= set(arguments)
    if "library_key" in arguments:  # it draws maps of the tissue
        assert {"image", "cmap"} <= set(arguments)
    optional = list(arguments.values())[1:]
    assert all(a.kind == a.KEYWORD_ONLY for a in optional if a.default is not a.empty and a.name != "genes")


def test_values_are_what_their_label_says(adata):
    counts, label = gene_values(adata, [0, 1, 2], value="counts")
    np.testing.assert_array_equal(counts, adata[:, ODD].X.toarray().T)
    assert label == "counts"
    library = np.asarray(adata.X.sum(axis=1)).ravel()
    logs, label = gene_values(adata, [0, 1, 2])
    np.testing.assert_allclose(logs, np.log1p(counts / library * np.median(library)))
    assert label == "log1p normalized counts"
    smooth, label = gene_values(adata, [0, 1, 2], smooth=2)
    assert (smooth.std(axis=1) < logs.std(axis=1)).all()
    assert "smoothed σ = 2" in label
    residual, label = gene_values(adata, [0, 1, 2], value="residual")
    np.testing.assert_allclose(residual.mean(axis=1), 0, atol=1e-5)
    assert label == "Pearson residual"
    assert sx.pl.gene_images(adata, ODD[0]).child_axes[0].get_ylabel() == "log1p normalized counts"


def test_cards_show_the_strongest_members(adata):
    sizes = module_sizes(adata)
    assert sizes.is_monotonic_decreasing
    name = sizes.index[0]
    (card,) = module_maps(adata, [name], n_genes=3)
    members = module_genes(adata, name)
    assert set(card.genes) == set(np.flatnonzero(adata.var["spacex_module"] == name))
    assert card.labels == list(adata.var_names[members[:3]])
    weight = np.linalg.norm(adata.varm["X_spacex"][members], axis=1) * adata.var["spacex_module_prob"].iloc[members]
    assert weight.is_monotonic_decreasing
    np.testing.assert_allclose(card.maps.std(axis=1), 1, rtol=1e-3)
    # the mean map is what the members have in common
    assert np.mean([np.corrcoef(card.mean, one)[0, 1] for one in card.maps]) > 0.3


def test_cards_carry_their_best_terms(adata):
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


def test_the_heat_map_shows_cosines_in_the_order_of_the_tree(adata):
    names = list(adata.var_names[:20])
    _, strip, heat = sx.pl.interactions(adata, names)
    shown = [label.get_text() for label in heat.get_yticklabels()]
    assert sorted(shown) == sorted(names)
    z = adata.varm["X_spacex"][[adata.var_names.get_loc(name) for name in shown]].astype(float)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(heat.images[0].get_array(), unit @ unit.T, atol=1e-6)
    # neighbours in the order are more alike than others
    cosine = heat.images[0].get_array()
    assert np.diagonal(cosine, 1).mean() > cosine[np.triu_indices(20, 2)].mean()
    assert len(strip.patches) == 20


def test_without_names_the_best_connected_gene_of_every_module_is_drawn(adata):
    *_, heat = sx.pl.interactions(adata, n_genes=6)
    shown = [label.get_text() for label in heat.get_yticklabels()]
    degree = pd.Series(np.asarray(adata.varp["spacex_interactions"].sum(axis=1)).ravel(), adata.var_names)
    module = adata.var["spacex_module"].astype(str)
    for name in set(module[shown]):
        assert degree[module == name].idxmax() in shown


def test_domains_have_the_colours_of_the_labels_they_share_spots_with(adata):
    labels = pd.Categorical(["0"] * 6 + ["1"] * 5 + ["2"] * 3)
    reference = pd.Categorical(["b"] * 5 + ["a"] * 6 + [None] * 3)
    colors = matched_colors(labels, reference, {"a": "#0072b2", "b": "#e69f00"})
    assert (colors["0"], colors["1"]) == ("#e69f00", "#0072b2")
    assert colors["2"] not in ("#e69f00", "#0072b2")
    left, right = sx.pl.domains(adata, reference="domain")
    shown = [{h.get_label(): h.get_facecolor() for h in ax.get_legend().get_patches()} for ax in (left, right)]
    common = pd.crosstab(adata.obs["spacex_domain"].astype(str), adata.obs["domain"].astype(str))
    assert sum(shown[0][i] == shown[1][common.loc[i].idxmax()] for i in common.index) >= 2


def test_the_probability_of_domains_is_drawn(adata):
    axes = sx.pl.domains(adata, reference="domain", probability=True)
    assert [ax.get_title() for ax in axes] == ["SpaCEX domains", "domain", "probability of the domain"]
    adata.obs = adata.obs.drop(columns="spacex_domain_prob")
    with pytest.raises(sx.InputError, match=r"sx\.tl\.domains"):
        sx.pl.domains(adata, probability=True)


def test_imputed_genes_stand_beside_what_was_measured(tmp_path):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3, depth=3.0)
    names = list(adata.var_names[40:])
    target = adata[:, adata.var_names != names[1]].copy()
    found = sx.tl.impute(target, adata, genes=names, progress=False)
    drawn = sx.pl.imputed(found, names[:2], target=target, reference=adata, save=tmp_path / "imputed.png")
    shown = [ax.get_title().split("\n")[0] for ax in drawn]
    kinds = ("in the reference", "imputed", "measured")
    assert shown == [f"{names[0]}, {kind}" for kind in kinds] + [f"{names[1]}, {kind}" for kind in kinds[:2]]
    places = [ax.get_position().x0 for ax in drawn]
    np.testing.assert_allclose(places[3:], places[:2])  # the place of what was not measured stays empty
    assert "correlation" in drawn[1].get_title()
    assert "correlation" not in drawn[4].get_title()
    assert (tmp_path / "imputed.png").stat().st_size > 10_000
    best = sx.pl.imputed(found, n_genes=2)
    assert {ax.get_title().split(",")[0] for ax in best} == set(found.var["reliability"].nlargest(2).index)
    with pytest.raises(sx.InputError, match="was not imputed"):
        sx.pl.imputed(found, "gene0001")
    with pytest.raises(sx.InputError, match=r"result of sx\.tl\.impute"):
        sx.pl.imputed(adata)


def test_stored_layouts_are_used_and_others_are_not_kept(adata):
    np.testing.assert_array_equal(gene_layout(adata), adata.varm["X_spacex_umap"])
    del adata.varm["X_spacex_umap"]
    few = adata[:, :20].copy()
    assert gene_layout(few).shape == (20, 2)
    assert "X_spacex_umap" not in few.varm


@pytest.mark.slow
def test_neighbours_lie_close_in_the_umap(adata):
    del adata.varm["X_spacex_umap"]
    place = gene_layout(adata)
    np.testing.assert_array_equal(place, gene_layout(adata))
    kept = np.isfinite(place[:, 0])
    z = adata.varm["X_spacex"][kept]
    near = _neighbors(z / np.linalg.norm(z, axis=1, keepdims=True))[0][:, 1:6]
    close = np.linalg.norm(place[kept][near] - place[kept][:, None], axis=2).mean()
    apart = np.linalg.norm(place[kept][:, None] - place[kept][None], axis=2).mean()
    assert close < 0.5 * apart


def test_neighbours_are_the_nearest():
    x = np.random.default_rng(0).standard_normal((60, 4)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    neighbor, distance = _neighbors(x)
    np.testing.assert_array_equal(neighbor[:, 0], np.arange(60))
    np.testing.assert_allclose(distance, np.sort(1 - x @ x.T, axis=1)[:, :15].clip(0), atol=1e-5)


def test_colours():
    assert category_colors(["0", "unassigned", "1"]) == {"0": "#0072b2", "1": "#e69f00", "unassigned": "#bfbfbf"}
    assert category_colors(["a"], {"a": "red"}) == {"a": "#ff0000"}
    assert category_colors(["a", "b"], ["black"]) == {"a": "#000000", "b": "#000000"}
    assert len(set(category_colors([str(i) for i in range(16)]).values())) == len(OKABE_ITO_EXTENDED) == 16
    assert len(set(category_colors([str(i) for i in range(30)], "turbo").values())) == 30


def test_intensities_are_called_so():
    adata = sx.datasets.simulate_section(n_genes=30, n_spots=200, n_modules=2)
    adata.X = adata.X * 0.37
    assert gene_values(adata, [0, 1])[1] == "intensity"
