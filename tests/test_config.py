"""Settings are validated, and survive JSON and HDF5."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex import Config
from spacex._config import OLD_NAMES
from spacex._infra.errors import InputError
from spacex._infra.validation import check_choice, check_finite, check_installed, check_int

NAN, INF = float("nan"), float("inf")

CHANGED = {
    "max_side": 50, "spots_per_pixel": 3.5, "theta": 50.0, "min_counts": 2, "sigma": 2.0, "n_dims": 12,
    "genes_per_dim": 20, "patch_size": 5, "d_model": 32, "n_layers": 0, "n_heads": 2, "holdout_fraction": 0.2,
    "epochs": 0,
    "mean_precision": 1.5, "boost_rounds": 0, "min_module_prob": 0.6, "n_null_genes": 80,
    "devices": 4, "num_nodes": 2, "strategy": "ddp", "precision": "bf16-mixed",
}  # fmt: skip


@pytest.mark.parametrize("change", [{}, *({key: value} for key, value in CHANGED.items()), CHANGED])
def test_settings_survive_json(change: dict) -> None:
    config = Config(**change)
    back = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert [type(getattr(back, f.name)) for f in fields(Config)] == [
        type(getattr(config, f.name)) for f in fields(Config)
    ]


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        dict, theta=st.floats(1e-3, 1e6), sigma=st.floats(1e-3, 50), holdout_fraction=st.floats(0.01, 0.99),
        learning_rate=st.floats(1e-9, 1), patch_size=st.integers(1, 64),
        mean_precision=st.floats(1e-3, 1e3), min_module_prob=st.floats(0.01, 0.99),
    )
)  # fmt: skip
def test_any_allowed_settings_survive_json(change: dict) -> None:
    config = Config(**change)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_survive_the_types_of_hdf5() -> None:
    config = Config(theta=100, sigma=1, n_layers=0, mean_precision=2, genes_per_dim=20)  # integers for floats
    stored = {
        key: np.asarray(value) if isinstance(value, list) else np.asarray(value)[()] if not isinstance(value, str)
        else value for key, value in config.to_dict().items()
    }  # fmt: skip
    assert isinstance(stored["theta"], np.generic)
    assert Config.from_dict(stored) == config


def test_numpy_scalars_are_accepted() -> None:
    config = Config(
        epochs=np.int64(2), n_dims=np.int32(8), sigma=np.float64(1.5), theta=np.float32(50),
        holdout_fraction=np.float64(0.2),
        genes_per_dim=np.int64(4), mean_precision=np.float32(2),
    )  # fmt: skip
    assert config == Config(
        epochs=2, n_dims=8, sigma=1.5, theta=50.0, holdout_fraction=0.2, genes_per_dim=4, mean_precision=2.0
    )
    json.dumps(config.to_dict())


def test_settings_are_immutable_and_hashable() -> None:
    assert Config() == Config()
    assert hash(Config()) == hash(Config())
    assert replace(Config(), epochs=9) == Config(epochs=9) != Config()
    with pytest.raises(FrozenInstanceError):
        Config().epochs = 3  # type: ignore[misc]
    with pytest.raises(InputError):
        replace(Config(), epochs=-1)


def test_every_setting_is_documented() -> None:
    parameters = inspect.cleandoc(Config.__doc__ or "").partition("Parameters")[2]
    named = {name.strip() for line in parameters.splitlines() if line[:1].strip() for name in line.split(",")}
    assert {f.name for f in fields(Config)} <= named


INTEGERS = {
    "max_side": 4, "min_counts": 1, "patch_size": 1, "d_model": 1, "n_layers": 0, "n_heads": 1, "epochs": 0,
    "patience": 1,
    "batch_size": 1, "max_modules": 2, "n_null_genes": 50, "em_iterations": 1, "genes_per_dim": 1,
    "boost_rounds": 0, "boost_epochs": 1, "n_dims": 2, "devices": 1, "num_nodes": 1,
}  # fmt: skip
POSITIVE = (
    "spots_per_pixel", "theta", "sigma", "learning_rate", "concentration", "mean_precision", "em_tolerance",
    "boost_power", "boost_learning_rate", "boost_tolerance",
)  # fmt: skip
INVALID = [
    *((name, value) for name, low in INTEGERS.items() for value in (low - 1, low + 0.5, True, None, str(low))),
    *((name, value) for name in POSITIVE for value in (0, -1.0, NAN, None, "1", True)),
    *(
        (name, value)
        for name in ("holdout_fraction", "min_module_prob")
        for value in (0.0, 1.0, -0.1, 1.5, NAN, "half")
    ),
    *((name, value) for name in ("patch_mask", "pixel_mask") for value in (-0.1, 1.0, NAN, None)),
    ("weight_decay", -1e-9),
    ("strategy", "fsdp"),
    ("precision", "64-true"),
    ("n_dims", "many"),
]


@pytest.mark.parametrize(("name", "value"), INVALID, ids=lambda v: repr(v))
def test_an_invalid_value_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"Config.{name}") as caught:
        Config(**{name: value})
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "low"), INTEGERS.items())
def test_the_minimum_is_allowed(name: str, low: int) -> None:
    n_heads = {"n_heads": 1} if name == "d_model" else {}
    assert getattr(Config(**{name: low, **n_heads}), name) == low


def test_d_model_must_be_a_multiple_of_n_heads() -> None:
    with pytest.raises(InputError, match=r"Config.d_model=30.*multiple of Config.n_heads=4"):
        Config(d_model=30, n_heads=4)
    assert Config(d_model=30, n_heads=3).d_model == 30


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(InputError, match=r"no setting epoch, sigmas; .*epochs.*sigma"):
        Config.from_dict({"epoch": 3, "sigmas": 1.0, "theta": 5.0})


def test_old_names_are_read() -> None:
    old = {
        "patch": 4, "width": 32, "depth": 2, "heads": 2, "batch": 50, "holdout": 0.2, "epoch_genes": 99,
        "own_signal": 0.5,
    }  # fmt: skip
    assert Config.from_dict(old) == Config(
        patch_size=4, d_model=32, n_layers=2, n_heads=2, batch_size=50, holdout_fraction=0.2, genes_per_epoch=99,
        gene_specific_share=0.5,
    )  # fmt: skip
    assert set(OLD_NAMES) == set(old)


@pytest.mark.parametrize(
    "removed",
    [
        {"scale": "spherical", "unassigned": 0.9, "n_null": 60},
        {"covariance_type": "tied", "background_threshold": 0.8, "n_permuted_genes": 1000, "nu_range": [3.0, 200.0]},
    ],
    ids=["first names", "later names"],
)
def test_settings_of_an_earlier_mixture_are_ignored(removed: dict) -> None:
    """Their EM settings, too: they are those of a mixture that converged more slowly."""
    old = {**removed, "em_starts": 8, "em_iterations": 200, "em_tolerance": 1e-6, "theta": 50.0, "concentration": 3.0}
    assert Config.from_dict(json.loads(json.dumps(old))) == Config(theta=50.0, concentration=3.0)


@pytest.mark.parametrize("name", ["nu_range", "n_permuted_genes", "covariance_type", "background_threshold"])
def test_settings_of_an_earlier_mixture_are_not_accepted(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Config(**{name: 3})


def test_em_settings_are_read_from_files_of_this_version() -> None:
    config = Config(em_starts=7, em_iterations=70, em_tolerance=0.01)
    assert Config.from_dict(config.to_dict()) == config


# -- validation functions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_check_int_returns_int(value: object) -> None:
    assert check_int(value, name="n", low=3, high=3) == 3
    assert type(check_int(value, name="n", low=0)) is int


@pytest.mark.parametrize("value", [2, 6, 3.0, "3", None, True, np.bool_(True), [3]])
def test_check_int_names_the_range(value: object) -> None:
    with pytest.raises(InputError, match=r"^n=.* is not allowed; pass a whole number from 3 to 5$"):
        check_int(value, name="n", low=3, high=5)


def test_choices_extras_and_finite_values() -> None:
    assert check_choice("a", name="x", allowed=("a", "b")) == "a"
    with pytest.raises(InputError, match=r"^x='c' is not allowed; pass one of 'a', 'b'$"):
        check_choice("c", name="x", allowed=("a", "b"))
    check_installed("json", extra="io", purpose="reading")
    with pytest.raises(InputError, match=r'^reading needs no_such_module.*pip install "spacex-st\[io\]"$'):
        check_installed("no_such_module", extra="io", purpose="reading")
    check_finite(np.array([1.0, 2.0]), name="X", hint="fix it")
    with pytest.raises(InputError, match=r"^X holds 2 NaN or infinite value\(s\).*fix it$"):
        check_finite(np.array([NAN, INF, 1.0]), name="X", hint="fix it")


def test_input_errors_are_value_errors() -> None:
    assert issubclass(InputError, ValueError)
