"""Round trips between AnnData and SpatialData, in memory and through a store."""

import logging
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import spacex as sx
from spacex import InputError
from spacex.io import from_spatialdata, to_spatialdata

spatialdata = pytest.importorskip("spatialdata", reason='needs spatialdata: pip install "spacex-st[io]"')


@pytest.fixture
def section():
    """A section with every kind of slot that spacex writes, and with images."""
    rng = np.random.default_rng(0)
    counts, genes, spots = sparse.random(20, 6, 0.4, "csr", "float32", rng), pd.Index([*"abcdef"]), np.arange(20)
    adata = ad.AnnData(counts, pd.DataFrame(index=[f"spot-{i}" for i in spots]), pd.DataFrame(index=genes))
    adata.obsm["spatial"] = np.column_stack([spots % 5, spots // 5]) * 100.0
    adata.obsm["spacex_pixel"] = np.column_stack([spots // 5, spots % 5])
    adata.obs["region"] = pd.Categorical(np.where(spots < 10, "left", "right"))  # also a usual name of SpatialData
    adata.obs["spacex_domain"] = pd.Categorical([f"domain{i % 3}" for i in spots])
    adata.var["spacex_module"] = pd.Categorical(["m1", "m1", "m2", "unassigned", "m2", "m1"])
    adata.var["spacex_svg_qvalue"] = [0.1, np.nan, 0.3, 0.0, 1.0, 0.5]
    adata.varm["X_spacex"] = rng.normal(size=(6, 4)).astype(np.float32)
    pairs = sparse.random(6, 6, 0.3, "csr", None, rng)
    adata.varp["spacex_interactions"] = (pairs + pairs.T).tocsr()
    adata.layers["counts"] = counts.copy()
    adata.uns["spacex"] = {
        "grid": {"kind": "square", "shape": np.array([4, 5])},
        "seed": 3,
        "versions": {"spacex": "1"},
    }
    adata.uns["spatial"] = {
        "V1 brain": {
            "images": {
                "hires": rng.random((40, 50, 3)).astype(np.float32),
                "lowres": rng.integers(0, 255, (8, 10), dtype=np.uint8),
            },
            "scalefactors": {"tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.02, "spot_diameter_fullres": 60.0},
            "metadata": {"chemistry": "v1"},
        }
    }
    return adata


def assert_equal(a, b):
    """Check that two sections, or two values in them, are equal."""
    if isinstance(a, ad.AnnData):
        pd.testing.assert_frame_equal(a.obs, b.obs)
        pd.testing.assert_frame_equal(a.var, b.var)
        for slot in ("obsm", "varm", "obsp", "varp", "layers", "uns"):
            assert_equal(dict(getattr(a, slot)), dict(getattr(b, slot)))
        assert all(a.obsm[key].dtype == b.obsm[key].dtype for key in a.obsm)
        assert all(a.varm[key].dtype == b.varm[key].dtype for key in a.varm)
        assert_equal(a.X, b.X)
    elif hasattr(a, "items"):
        assert set(a) == set(b)
        for key in a:
            assert_equal(a[key], b[key])
    elif sparse.issparse(a):
        assert (a != b).nnz == 0
    else:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_round_trip(tmp_path, section):
    before = section.copy()
    assert_equal(from_spatialdata(to_spatialdata(section)), before)
    assert_equal(section, before)  # the input is unchanged
    to_spatialdata(section).write(tmp_path / "s.zarr")
    assert_equal(from_spatialdata(spatialdata.read_zarr(tmp_path / "s.zarr")), before)
    assert_equal(sx.read(tmp_path / "s.zarr"), before)


def test_round_trip_of_all_results(tmp_path):
    adata = sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3, n_domains=2, seed=0)
    sx.tl.embed(adata, seed=0)
    sx.tl.interactions(adata)
    sx.tl.domains(adata, n_domains=2, seed=0)
    to_spatialdata(adata).write(tmp_path / "s.zarr")
    back = sx.read(tmp_path / "s.zarr")
    assert_equal(back, adata)
    gene = adata.var_names[0]
    pd.testing.assert_frame_equal(sx.tl.similar_genes(back, gene, n=5), sx.tl.similar_genes(adata, gene, n=5))


def test_shapes_are_at_the_spots(section):
    sdata = to_spatialdata(section)
    centroids = spatialdata.get_centroids(sdata["spots"]).compute().loc[section.obs_names]
    np.testing.assert_array_equal(centroids[["x", "y"]], section.obsm["spatial"])
    assert (sdata["spots"]["radius"] == 30).all()  # of a diameter of 60 pixels
    assert sdata["table"].uns["spatialdata_attrs"]["region"] == "spots"
    matched = spatialdata.match_element_to_table(sdata, "spots", "table")[1]
    assert matched.obs_names.tolist() == section.obs_names.tolist()


def test_radius_without_scale_factors(section):
    del section.uns["spatial"]
    assert (to_spatialdata(section)["spots"]["radius"] == 50).all()  # half the distance of 100


def test_images_align_with_spots(section):
    sdata = to_spatialdata(section)
    assert set(sdata.images) == {"V1_brain_hires_image", "V1_brain_lowres_image"}
    extent = spatialdata.get_extent(sdata["V1_brain_hires_image"])
    assert extent["x"] == pytest.approx((0, 500))
    assert extent["y"] == pytest.approx((0, 400))


def test_coordinates_of_shapes(section):
    sdata = to_spatialdata(section)
    del sdata["table"].obsm["spatial"]
    np.testing.assert_array_equal(from_spatialdata(sdata).obsm["spatial"], section.obsm["spatial"])


def test_coordinates_in_another_system(section):
    from spatialdata.transformations import Identity, set_transformation

    sdata = to_spatialdata(section)
    set_transformation(sdata["spots"], {"V1": Identity()}, set_all=True)  # as spatialdata-io does with Visium
    del sdata["table"].obsm["spatial"]
    np.testing.assert_array_equal(from_spatialdata(sdata).obsm["spatial"], section.obsm["spatial"])


def test_repeated_round_trip(section):
    once = from_spatialdata(to_spatialdata(section))
    assert_equal(from_spatialdata(to_spatialdata(once)), section)


def test_table_is_chosen(section):
    sdata = to_spatialdata(section)
    other = sdata["table"][:5].copy()
    sdata.tables["few"] = other
    assert from_spatialdata(sdata).n_obs == 20
    assert from_spatialdata(sdata, table="few").n_obs == 5
    with pytest.raises(InputError, match=r"table='no' is not in the SpatialData; pass one of 'table', 'few'"):
        from_spatialdata(sdata, table="no")
    del sdata.tables["table"]
    sdata.tables["more"] = other
    with pytest.raises(InputError, match="pass table="):
        from_spatialdata(sdata)


def test_no_tables_raise():
    with pytest.raises(InputError, match="tables none"):
        from_spatialdata(spatialdata.SpatialData())


def test_table_without_annotation_raises(section):
    del section.obsm["spatial"]
    with pytest.raises(InputError, match="annotates no shapes"):
        from_spatialdata(spatialdata.SpatialData(tables={"table": section}))


def test_missing_shapes_raise(section):
    sdata = to_spatialdata(section)
    del sdata["table"].obsm["spatial"]
    del sdata.shapes["spots"]
    with pytest.raises(InputError, match="annotates spots, which the SpatialData lacks"):
        from_spatialdata(sdata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.obsm.pop("spatial"), r"obsm\['spatial'\] is missing"),
        (lambda a: a.obsm["spatial"].__setitem__((3, 1), np.nan), "1 NaN"),
        (lambda a: setattr(a, "obs_names", ["s"] * 20), "obs_names repeat"),
        (lambda a: a.obs.__setitem__("% mito", 0.5), "% mito"),
    ],
)
def test_inconvertible_sections_raise(section, change, message):
    change(section)
    with pytest.raises(InputError, match=message) as caught:
        to_spatialdata(section)
    assert "\n" not in str(caught.value)


def test_message_names_the_extra(section, monkeypatch):
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(InputError, match=r'pip install "spacex-st\[io\]"'):
        to_spatialdata(section)


def test_store_without_the_extra_is_read_without_images(tmp_path, section, monkeypatch, caplog):
    to_spatialdata(section).write(tmp_path / "s.zarr")
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with caplog.at_level(logging.INFO, logger="spacex"):
        back = sx.read(tmp_path / "s.zarr")
    assert "images skipped" in caplog.text
    assert back.uns["spatial"]["V1 brain"]["images"] == {}
    assert "spacex_spot" not in back.obs
    np.testing.assert_array_equal(back.obsm["spatial"], section.obsm["spatial"])
