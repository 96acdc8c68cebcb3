"""Prepacked layers compute what the model computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from payloads.data.scaler import Scaler
from payloads.serving.prepack import prepack
from payloads.training.model import Classifier, Mlp

EXAMPLE = torch.rand(8, 64, generator=torch.Generator().manual_seed(0)) * 16


def exported(dropout: float = 0.3) -> torch.fx.GraphModule:
    torch.manual_seed(0)
    scaler = Scaler(mean=np.full(64, 5, np.float32), scale=np.full(64, 4, np.float32))
    model = Classifier(Mlp(64, 10, hidden=128, depth=2, dropout=dropout), scaler).eval()
    rows = torch.export.Dim("rows", min=2)
    return torch.export.export(model, (EXAMPLE,), dynamic_shapes=({0: rows},)).module()


@pytest.mark.parametrize("rows", [1, 2, 8, 65])
def test_any_number_of_rows_gives_the_same_logits(rows: int):
    model = exported()
    packed = prepack(model, EXAMPLE)
    assert packed is not model
    assert "mkldnn._linear_pointwise" in packed.code
    assert "aten.linear" not in packed.code
    with torch.inference_mode():
        inputs = torch.rand(rows, 64) * 16
        torch.testing.assert_close(packed(inputs), model(inputs), rtol=1e-4, atol=1e-4)


def test_the_original_is_left_as_it_was():
    model = exported()
    before = model.code
    prepack(model, EXAMPLE)
    assert model.code == before


def test_a_module_that_is_no_exported_graph_is_returned_as_it_is():
    model = torch.nn.Linear(64, 10)
    assert prepack(model, EXAMPLE) is model


def test_a_packed_form_that_disagrees_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "allclose", lambda *_, **__: False)
    model = exported()
    assert prepack(model, EXAMPLE) is model
