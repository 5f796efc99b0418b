"""The references that are shipped with the package."""

from __future__ import annotations

from spacex.reference import Reference
from spacex.reference.shipped import shipped_reference


def reference(species: str) -> Reference:
    """Return the shipped reference of a species.

    It is made of public sections, which ``reference("human").sections`` lists with their sources and licences. Nothing
    is downloaded.

    Parameters
    ----------
    species
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    The `spacex.Reference`.

    Raises
    ------
    InputError
        If there is no reference of the species.

    Examples
    --------
    >>> import spacex as sx
    >>> reference = sx.datasets.reference("mouse")
    >>> reference.species, "Mbp" in reference.genes
    ('mouse', True)
    """
    return shipped_reference(species)
