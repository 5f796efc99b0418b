"""SpatialData: a section as table, shapes and images, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_installed, check_name
from spacex.io._files import join_names

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

SPOTS = "spots"
TABLE = "table"
# Columns and notes of the way there, taken away on the way back. "region" would meet columns of the caller's own.
REGION = "spacex_region"
INSTANCE = "spacex_spot"
IMAGES = "spacex_images"
_ATTRS = "spatialdata_attrs"


def to_spatialdata(adata: AnnData) -> SpatialData:
    """Lay a section out as SpatialData; needs the extra ``io``.

    Parameters
    ----------
    adata
        Section with ``obsm["spatial"]``, (S, 2) or more columns, of which x and y are taken. Not changed.

    Returns
    -------
    SpatialData
        - ``tables["table"]``: a copy of `adata` with everything that was in it, the slots of spacex included;
          ``obs["spacex_region"]`` and ``obs["spacex_spot"]`` tie its rows to the shapes.
        - ``shapes["spots"]``: a circle for every spot, named like it, in the unit of ``obsm["spatial"]``, in the
          coordinate system ``"global"``. Radius: that of the spots where ``uns["spatial"]`` tells it, otherwise half
          the median distance to the nearest spot.
        - ``images``: those of ``uns["spatial"]``, scaled so that they lie under the spots.

    Raises
    ------
    InputError
        The extra is missing, there are no finite coordinates, names of spots repeat, or SpatialData forbids a name.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=100, n_modules=2, n_domains=2)
    >>> sdata = sx.io.to_spatialdata(adata)
    >>> sdata["table"].shape, len(sdata["spots"])
    ((100, 40), 100)
    """
    check_installed("spatialdata", extra="io", purpose="to_spatialdata")
    _adata.check_adata(adata)
    xy = _adata.read_positions(adata, "spatial")
    check_finite(xy, name="obsm['spatial']", hint="drop the spots without coordinates")
    if adata.obs_names.has_duplicates:
        raise InputError("obs_names repeat, and shapes need names of their own: call adata.obs_names_make_unique()")
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    table = adata.copy()
    images = _take_images(table)
    table.obs[REGION] = np.full(table.n_obs, SPOTS)
    table.obs[REGION] = table.obs[REGION].astype("category")
    table.obs[INSTANCE] = table.obs_names.to_numpy()
    table.uns.pop(_ATTRS, None)  # a table that came from another SpatialData
    try:
        shapes = ShapesModel.parse(xy, geometry=0, radius=_radius(adata, xy), index=table.obs_names.to_numpy())
        table = TableModel.parse(table, region=SPOTS, region_key=REGION, instance_key=INSTANCE)
        return SpatialData(images=images, shapes={SPOTS: shapes}, tables={TABLE: table})
    except (ValueError, TypeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise InputError(f"adata cannot become SpatialData: {reason[:300]}; rename what it names") from error


def _radius(adata: AnnData, xy: np.ndarray) -> float:
    """Radius of the spots as the vendor tells it, or so that near spots touch."""
    from scipy.spatial import cKDTree

    factors = [entry.get("scalefactors") or {} for entry in _adata.read_libraries(adata).values()]
    if len(factors) == 1 and "spot_diameter_fullres" in factors[0]:
        return float(factors[0]["spot_diameter_fullres"]) / 2
    points = np.unique(xy, axis=0)
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) / 2 if len(points) > 1 else 1.0


def _take_images(table: AnnData) -> dict[str, Any]:
    """Move the images out of ``uns["spatial"]``, and note where they went."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    libraries = _adata.read_libraries(table)
    images: dict[str, Any] = {}
    went: dict[str, dict[str, str]] = {}
    for library, entry in libraries.items():
        for kind, image in (entry.get("images") or {}).items():
            pixels = np.asarray(image)
            if pixels.ndim not in (2, 3):
                continue  # no picture
            pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
            name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', library)}_{kind}_image"
            scale = 1 / (entry.get("scalefactors") or {}).get(f"tissue_{kind}_scalef", 1.0)
            under = {"global": Scale([scale, scale], axes=("x", "y"))}
            images[name] = Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=under)
            went.setdefault(library, {})[kind] = name
    if libraries:
        without = {library: {**entry, "images": {}} for library, entry in libraries.items()}
        table.uns["spatial"] = {**table.uns["spatial"], **without}
    if went:
        table.uns[IMAGES] = went
    return images


def from_spatialdata(sdata: SpatialData, *, table: str | None = None) -> AnnData:
    """Take a table of a SpatialData as a section.

    Parameters
    ----------
    sdata
        What `to_spatialdata` returned, or any other SpatialData; not changed.
    table
        Name of the table. None: the one named ``"table"``, or the only one.

    Returns
    -------
    AnnData
        A copy of the table. ``obsm["spatial"]``, where the table lacks it, has the centroids (S, 2) of the shapes or
        labels that it annotates, in the coordinate system ``"global"`` or, without such, in their first. From
        `to_spatialdata`: what went in, with images back in ``uns["spatial"]``.

    Raises
    ------
    InputError
        No such table, several tables and none named, or no coordinates to be found.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=100, n_modules=2, n_domains=2)
    >>> sx.io.from_spatialdata(sx.io.to_spatialdata(adata)).shape
    (100, 40)
    """
    check_installed("spatialdata", extra="io", purpose="from_spatialdata")
    if not hasattr(sdata, "tables"):
        raise InputError(f"sdata is a {type(sdata).__name__}, not a SpatialData; read it first: spatialdata.read_zarr")
    names = list(sdata.tables)
    check_name(table, name="table")
    if table is not None and table not in names:
        raise InputError(
            f"table={table!r} is not in the SpatialData; pass one of {join_names(map(repr, names)) or 'none'}"
        )
    if table is None and TABLE not in names and len(names) != 1:
        raise InputError(f"the SpatialData has the tables {join_names(names) or 'none'}; pass table= with one of them")
    name = table if table is not None else TABLE if TABLE in names else names[0]
    adata = sdata.tables[name].copy()
    if "spatial" not in adata.obsm:
        adata.obsm["spatial"] = _coordinates(adata, sdata)
    return restored(adata, sdata.images)


def restored(adata: AnnData, images: Mapping[str, Any]) -> AnnData:
    """Take away what `to_spatialdata` added to a table and put its images back, as far as they are among `images`."""
    if REGION not in adata.obs:
        return adata
    adata.obs = adata.obs.drop(columns=[REGION, INSTANCE])
    adata.uns.pop(_ATTRS, None)
    for library, kinds in adata.uns.pop(IMAGES, {}).items():
        for kind, name in kinds.items():
            if name in images:
                pixels = np.moveaxis(np.asarray(images[name].data), 0, -1)
                adata.uns["spatial"][library]["images"][kind] = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    return adata


def _coordinates(adata: AnnData, sdata: SpatialData) -> np.ndarray:
    """Centroids (S, 2) of the elements that a table annotates."""
    import pandas as pd
    import spatialdata
    from spatialdata.transformations import get_transformation

    if _ATTRS not in adata.uns:
        raise InputError("the table has no obsm['spatial'] and annotates no shapes; give each spot x and y in obsm")
    attrs = adata.uns[_ATTRS]
    regions = [str(region) for region in np.atleast_1d(attrs["region"])]
    absent = [region for region in regions if region not in sdata]
    if absent:
        raise InputError(
            f"the table annotates {join_names(absent)}, which the SpatialData lacks; save it with its shapes"
        )
    centroids = []
    for region in regions:
        systems = list(get_transformation(sdata[region], get_all=True))
        system = "global" if "global" in systems else systems[0]
        centroids.append(spatialdata.get_centroids(sdata[region], coordinate_system=system).compute())
    where = pd.concat(centroids, keys=regions)[["x", "y"]]
    keys = pd.MultiIndex.from_arrays([adata.obs[attrs["region_key"]].astype(str), adata.obs[attrs["instance_key"]]])
    return where.reindex(keys).to_numpy(dtype=float)
