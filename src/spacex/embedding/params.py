"""`ParamsMixin`: `get_params` and `set_params` of scikit-learn, with validation by the constructor.

`sklearn.base.BaseEstimator` is not used, since it adds methods for the routing of metadata, such as
``set_fit_request``, to every estimator whose data are not named ``X``.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

from spacex._infra.validation import check_choice


class ParamsMixin:
    """Parameters of an estimator whose constructor stores each argument under its name."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor.

        Parameters
        ----------
        deep
            Ignored; for compatibility with scikit-learn.

        Returns
        -------
        A dict from name to value.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.SpaCEX(seed=1).get_params()["seed"]
        1
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; the fitted state does not change.

        Parameters
        ----------
        params
            Arguments of the constructor.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        InputError
            If a name is unknown or a value is not allowed.

        Examples
        --------
        >>> import spacex as sx
        >>> sx.SpaCEX().set_params(n_modules=4).n_modules
        4
        """
        current = self.get_params()
        for name in params:
            check_choice(name, name="parameter", allowed=tuple(current))
        vars(self).update(vars(type(self)(**current | params)))
        return self
