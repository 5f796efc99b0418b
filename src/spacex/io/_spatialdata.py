"""Conversion between AnnData and SpatialData."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.spatial import cKDTree

from spacex import _adata
from spacex._adata import keys
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_installed, check_name
from spacex.io._files import join_names

if TYPE_CHECKING:
    from spatialdata import SpatialData

SPOTS = "spots"
TABLE = "table"
_ATTRS = "spatialdata_attrs"


def to_spatialdata(adata: AnnData) -> SpatialData:
    """Convert a section to SpatialData; needs the extra ``io``.

    Parameters
    ----------
    adata
        Section with ``obsm["spatial"]``, (S, 2) or more columns, of which the first two are used. Not changed.

    Returns
    -------
    SpatialData
        - ``tables["table"]``: a copy of `adata` with all its slots, those of spacex included;
          ``obs["spacex_region"]`` and ``obs["spacex_spot"]`` link its rows to the shapes.
        - ``shapes["spots"]``: one circle per spot, with the name of the spot, in the unit of ``obsm["spatial"]`` and
          the coordinate system ``"global"``. The radius is that in ``uns["spatial"]`` if it has one, otherwise half
          the median distance to the nearest spot.
        - ``images``: those of ``uns["spatial"]``, scaled to align with the spots.

    Raises
    ------
    InputError
        The extra is missing, coordinates are missing or not finite, spot names repeat, or SpatialData forbids a name.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=100, n_modules=2, n_domains=2)
    >>> sdata = sx.io.to_spatialdata(adata)
    >>> sdata["table"].shape, len(sdata["spots"])
    ((100, 40), 100)
    """
    check_installed("spatialdata", extra="io", purpose="to_spatialdata")
    _adata.prepare_adata(adata)
    xy = _adata.read_positions(adata, "spatial")
    check_finite(xy, name="obsm['spatial']", hint="drop the spots without coordinates")
    if adata.obs_names.has_duplicates:
        raise InputError("obs_names repeat, but shapes need unique names; call adata.obs_names_make_unique()")
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    table = adata.copy()
    images = _take_images(table)
    table.obs[keys.REGION] = pd.Categorical([SPOTS] * table.n_obs)
    table.obs[keys.INSTANCE] = table.obs_names.to_numpy()
    table.uns.pop(_ATTRS, None)  # of the SpatialData that the table may come from
    try:
        shapes = ShapesModel.parse(xy, geometry=0, radius=_radius(adata, xy), index=table.obs_names.to_numpy())
        table = TableModel.parse(table, region=SPOTS, region_key=keys.REGION, instance_key=keys.INSTANCE)
        return SpatialData(images=images, shapes={SPOTS: shapes}, tables={TABLE: table})
    except (ValueError, TypeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise InputError(f"adata cannot be converted to SpatialData: {reason[:300]}; rename that element") from error


def _radius(adata: AnnData, xy: np.ndarray) -> float:
    """Return the radius of the spots in ``uns["spatial"]``, or one at which neighbors touch."""
    factors = [entry.get("scalefactors") or {} for entry in _adata.read_libraries(adata).values()]
    if len(factors) == 1 and "spot_diameter_fullres" in factors[0]:
        return float(factors[0]["spot_diameter_fullres"]) / 2
    points = np.unique(xy, axis=0)
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) / 2 if len(points) > 1 else 1.0


def _take_images(table: AnnData) -> dict[str, Any]:
    """Remove the images from ``uns["spatial"]``, note their names in ``uns``, and return them as SpatialData models."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    libraries = _adata.read_libraries(table)
    images: dict[str, Any] = {}
    image_names: dict[str, dict[str, str]] = {}
    for library, entry in libraries.items():
        for kind, image in (entry.get("images") or {}).items():
            pixels = np.asarray(image)
            if pixels.ndim not in (2, 3):
                continue  # not an image
            pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
            name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', library)}_{kind}_image"
            scale = 1 / (entry.get("scalefactors") or {}).get(f"tissue_{kind}_scalef", 1.0)
            transformations = {"global": Scale([scale, scale], axes=("x", "y"))}
            images[name] = Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=transformations)
            image_names.setdefault(library, {})[kind] = name
    if libraries:
        without_images = {library: {**entry, "images": {}} for library, entry in libraries.items()}
        table.uns["spatial"] = {**table.uns["spatial"], **without_images}
    if image_names:
        table.uns[keys.IMAGES] = image_names
    return images


def from_spatialdata(sdata: SpatialData, *, table: str | None = None) -> AnnData:
    """Convert a table of a SpatialData to a section; needs the extra ``io``.

    Parameters
    ----------
    sdata
        Result of `to_spatialdata`, or any other SpatialData. Not changed.
    table
        Name of the table. None: the one named ``"table"``, or the only one.

    Returns
    -------
    AnnData
        A copy of the table. If it has no ``obsm["spatial"]``, the centroids (S, 2) of the shapes or labels that it
        annotates are written there, in the coordinate system ``"global"`` or else in their first one. A result of
        `to_spatialdata` is converted back to the original section, with its images in ``uns["spatial"]``.

    Raises
    ------
    InputError
        The extra is missing, the table does not exist, `table` is needed to choose among several, or there are no
        coordinates.

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
    return restore_section(adata, sdata.images)


def restore_section(adata: AnnData, images: Mapping[str, Any]) -> AnnData:
    """Remove the columns that `to_spatialdata` added to a table, and restore its `images`, if they exist."""
    if keys.REGION not in adata.obs:
        return adata
    adata.obs = adata.obs.drop(columns=[keys.REGION, keys.INSTANCE])
    adata.uns.pop(_ATTRS, None)
    for library, kinds in adata.uns.pop(keys.IMAGES, {}).items():
        for kind, name in kinds.items():
            if name in images:
                pixels = np.moveaxis(np.asarray(images[name].data), 0, -1)
                adata.uns["spatial"][library]["images"][kind] = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    return adata


def _coordinates(adata: AnnData, sdata: SpatialData) -> np.ndarray:
    """Return the centroids (S, 2) of the elements that a table annotates."""
    import spatialdata
    from spatialdata.transformations import get_transformation

    if _ATTRS not in adata.uns:
        raise InputError("the table has no obsm['spatial'] and annotates no shapes; write x and y to obsm['spatial']")
    attrs = adata.uns[_ATTRS]
    regions = [str(region) for region in np.atleast_1d(attrs["region"])]
    missing = [region for region in regions if region not in sdata]
    if missing:
        raise InputError(
            f"the table annotates {join_names(missing)}, which the SpatialData lacks; save it with its shapes"
        )
    centroids = []
    for region in regions:
        systems = list(get_transformation(sdata[region], get_all=True))
        system = "global" if "global" in systems else systems[0]
        centroids.append(spatialdata.get_centroids(sdata[region], coordinate_system=system).compute())
    xy = pd.concat(centroids, keys=regions)[["x", "y"]]
    keys = pd.MultiIndex.from_arrays([adata.obs[attrs["region_key"]].astype(str), adata.obs[attrs["instance_key"]]])
    return xy.reindex(keys).to_numpy(dtype=float)
