"""The two scene models, trained in seconds without Ray by the payload's own code, and scenes that they never saw."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from payloads.data import splits
from payloads.vision import fit, scenes
from payloads.vision.scenes import Scene
from payloads.vision.settings import VisionSettings

SETTINGS = VisionSettings(run_name="quick", epochs=4, scenes=512, batch_size=16)


@dataclass
class Memory:
    """What `fit` needs of a storage, and nothing outside the process."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        return self.kept.get(path)

    def write(self, path: str, content: bytes) -> None:
        self.kept[path] = content


@dataclass(frozen=True)
class QuickVision:
    detector: nn.Module
    reader: nn.Module
    scenes: list[Scene]


def held_out(count: int) -> list[Scene]:
    source = scenes.glyphs(splits.TEST, SETTINGS.split_seed)
    return [scenes.compose(source, (SETTINGS.split_seed, fit.TEST_SCENES, number)) for number in range(count)]


def trained(settings: VisionSettings, name: str, storage: Memory) -> nn.Module:
    source = scenes.glyphs(splits.TRAIN, settings.split_seed)
    return fit.rebuilt(settings, name, fit.fit(storage, "quick", settings, source, name).weights)  # type: ignore[arg-type]


def train_both() -> QuickVision:
    return QuickVision(trained(SETTINGS, "detector", Memory()), trained(SETTINGS, "reader", Memory()), held_out(150))
