"""Training keeps the best state by held-out counts, and never less than the linear start."""

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding.context import FitContext, resolve_device
from spacex.embedding.fit import build
from spacex.embedding.history import History
from spacex.embedding.refinement.training import Validation, pretrain, validate


@pytest.fixture(scope="module")
def images():
    adata = sx.datasets.simulate_section(n_genes=120, n_spots=350, n_modules=4, depth=1.0, seed=1)
    return sx.pp.gene_images(adata)


def prepared(images, **settings):
    session = FitContext.open(sx.Config(**settings), "cpu", 0, progress=False)
    train, held = images.thin(0.8, np.random.default_rng(0))
    return build(images, train, session, 0), train, held, session


def test_the_best_state_is_kept_and_recorded(images):
    model, train, held, session = prepared(images, epochs=5, patience=5, learning_rate=2e-3)
    first, history = validate(model, train, held, session), History()
    pretrain(model, train, held, history, session)
    rows = history.records["pretrain"]
    assert [row["epoch"] for row in rows] == list(range(len(rows)))
    gains = [Validation(row["correlation"], row["retrieval"]).against(first) for row in rows]
    kept = validate(model, train, held, session).against(first)
    assert kept == pytest.approx(max(gains), abs=1e-6)
    assert kept >= 0


def test_training_that_only_harms_leaves_the_linear_start(images):
    model, train, held, session = prepared(images, epochs=3, learning_rate=10.0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pretrain(model, train, held, History(), session)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_validation_prefers_the_right_embedding(images):
    model, train, held, session = prepared(images)
    good = validate(model, train, held, session)
    with torch.no_grad():
        order = torch.randperm(len(model.encoder.linear), generator=torch.Generator().manual_seed(0))
        model.encoder.linear.copy_(model.encoder.linear[order])
    bad = validate(model, train, held, session)
    assert good.correlation > bad.correlation
    assert good.retrieval > bad.retrieval


def test_a_device_that_is_not_there_is_a_clear_error():
    with pytest.raises(sx.InputError, match="device='nowhere'"):
        resolve_device("nowhere")
    session = FitContext.open(sx.Config(), "cpu", 0, progress=False)
    assert session.device.type == "cpu"
