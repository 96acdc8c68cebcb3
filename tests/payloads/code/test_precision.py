"""Mixed precision, compilation and the settings that ask for them."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo.utils

from payloads.common import seeds
from payloads.common.cli import parse
from payloads.common.errors import PayloadError
from payloads.lightning_training.settings import LightningSettings
from payloads.training.batches import Batch, shuffled
from payloads.training.compiling import compile_in_place
from payloads.training.model import Mlp
from payloads.training.precision import Arithmetic
from payloads.training.settings import TrainSettings
from payloads.training.steps import train_epoch


def rows(count: int = 192) -> Batch:
    """Two classes that one feature tells apart."""
    features = torch.randn(count, 8, generator=torch.Generator().manual_seed(1))
    return features, (features[:, 0] > 0).long()


def trained(arithmetic: Arithmetic | None, compiled: bool = False, epochs: int = 3) -> tuple[Mlp, list[float]]:
    seeds.seed_everything(3)
    model = Mlp(8, 2, hidden=16, depth=1, dropout=0.1)
    if compiled:
        # Without the last stage, whose C++ compiler takes most of a minute.
        compile_in_place(model, backend="aot_eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = [
        train_epoch(model, optimizer, shuffled(rows(), 32, seed=1, epoch=epoch), 1.0, arithmetic=arithmetic)
        for epoch in range(epochs)
    ]
    return model, losses


def plainly() -> tuple[Mlp, list[float]]:
    """The same training written out: what the defaults must stay, to the last bit."""
    seeds.seed_everything(3)
    model = Mlp(8, 2, hidden=16, depth=1, dropout=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(3):
        total, seen = 0.0, 0
        for features, targets in shuffled(rows(), 32, seed=1, epoch=epoch):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(features), targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total, seen = total + loss.detach().double().item() * len(targets), seen + len(targets)
        losses.append(total / seen)
    return model, losses


def test_the_default_is_plain_training_to_the_last_bit():
    model, losses = trained(None)
    other, wanted = plainly()
    assert losses == wanted
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_what_float32_learns_with_weights_of_32_bits(precision):
    model, losses = trained(Arithmetic(precision))
    _, exact = trained(None)
    assert losses != exact, "products were rounded"
    assert losses == pytest.approx(exact, rel=0.03)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_step_whose_gradients_are_not_finite_is_left_out_and_the_scale_halved():
    arithmetic = Arithmetic("fp16")
    model = Mlp(8, 2, hidden=16, depth=1, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scale = arithmetic.scaler.get_scale()
    features, targets = rows(32)
    train_epoch(model, optimizer, [(features * 1e9, targets)], 1.0, arithmetic=arithmetic)
    assert arithmetic.scaler.get_scale() == scale / 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    resumed = Arithmetic("fp16")
    resumed.scaler.load_state_dict(arithmetic.scaler.state_dict())
    assert resumed.scaler.get_scale() == scale / 2, "a checkpoint keeps it"


def test_compilation_without_a_compiler_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(PayloadError, match="add g\\+\\+ to the image, or leave compile off"):
        compile_in_place(Mlp(8, 2, hidden=16, depth=1, dropout=0.0))


def test_a_compiled_network_learns_the_same_and_keeps_the_names_of_its_weights():
    model, losses = trained(None, compiled=True, epochs=1)
    plain, wanted = trained(None, epochs=1)
    assert losses == pytest.approx(wanted, rel=0.05), "dropout draws in its own order"
    assert list(model.state_dict()) == list(plain.state_dict())
    assert sum(torch._dynamo.utils.counters["frames"].values()) > 0, "it was compiled"


@pytest.mark.parametrize("model", [TrainSettings, LightningSettings])
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--precision=fp16"], "precision fp16 needs gpus_per_worker"),
        (["--precision=half"], "--precision: Input should be 'float32', 'bf16' or 'fp16'"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(model, flags: list[str], words: str):
    with pytest.raises(PayloadError, match=words):
        parse(model, "", ["--run-name=a", *flags])
