"""Training restores the best state by held-out counts, or the linear initialization."""

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding.context import FitContext, resolve_device
from spacex.embedding.fit import build_autoencoder
from spacex.embedding.history import History
from spacex.embedding.refinement.training import Validation, pretrain, validate


@pytest.fixture(scope="module")
def images():
    adata = sx.datasets.simulate_section(n_genes=120, n_spots=350, n_modules=4, depth=1.0, seed=1)
    return sx.pp.gene_images(adata)


def prepared(images, **settings):
    config, context = sx.Config(**settings), FitContext(torch.device("cpu"))
    train, heldout = images.thin(0.8, np.random.default_rng(0))
    return build_autoencoder(train, 0, config, context), train, heldout, config, context


def test_the_best_state_is_restored_and_recorded(images):
    model, train, heldout, config, context = prepared(images, epochs=5, patience=5, learning_rate=2e-3)
    first, history = validate(model, train, heldout, config, context), History()
    pretrain(model, train, heldout, config, history, context)
    rows = history.records["pretrain"]
    assert [row["epoch"] for row in rows] == list(range(len(rows)))
    gains = [Validation(row["correlation"], row["retrieval"]).relative_gain(first) for row in rows]
    restored = validate(model, train, heldout, config, context).relative_gain(first)
    assert restored == pytest.approx(max(gains), abs=1e-6)
    assert restored >= 0


def test_harmful_training_leaves_the_linear_initialization(images):
    model, train, heldout, config, context = prepared(images, epochs=3, learning_rate=10.0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pretrain(model, train, heldout, config, History(), context)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_validation_prefers_the_correct_embedding(images):
    model, train, heldout, config, context = prepared(images)
    good = validate(model, train, heldout, config, context)
    with torch.no_grad():
        order = torch.randperm(len(model.encoder.linear), generator=torch.Generator().manual_seed(0))
        model.encoder.linear.copy_(model.encoder.linear[order])
    bad = validate(model, train, heldout, config, context)
    assert good.correlation > bad.correlation
    assert good.retrieval > bad.retrieval


def test_an_unknown_device_raises():
    with pytest.raises(sx.InputError, match="device='nowhere'"):
        resolve_device("nowhere")
    assert resolve_device("cpu").type == "cpu"
