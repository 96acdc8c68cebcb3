"""The parts of the image payload that need neither Ray nor S3."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.data import splits
from payloads.images import pipeline, sample, source, stages
from payloads.images.augment import Recipe, augment, transforms
from payloads.images.dataset import Manifest
from payloads.images.decode import BrokenImage, Form, decode, identity
from payloads.images.feed import Cutter, Plan
from payloads.images.network import Network, Normalisation, normalisation
from payloads.images.settings import ImageSettings

GREY = Form(size=16, mode="L", max_pixels=1_000_000)
COLOUR = Form(size=32, mode="RGB", max_pixels=1_000_000)
MILD = Recipe(flip=0, rotate=10, shift=0.08, zoom=0.1, jitter=0.2, hue=0, seed=42)
RNG = np.random.default_rng(0)


def saved(image: Image.Image, form: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def digits() -> dict[str, bytes]:
    return dict(sample.digits())


@pytest.mark.parametrize(
    ("content", "form", "reason"),
    [
        (b"", GREY, "the file is empty"),
        (b"hello", GREY, "not an image of a known format"),
        (saved(Image.new("L", (64, 64)), "TIFF"), GREY, "not an image of a known format"),
        (saved(Image.fromarray(noise(64, 64)), "PNG")[:-2000], GREY, "cut off or damaged"),
        (saved(Image.fromarray(noise(64, 64, 3)), "JPEG")[:-2000], COLOUR, "cut off or damaged"),
        (saved(Image.new("L", (9, 9)), "PNG")[:20], GREY, "cut off or damaged"),
        (sample.bomb(), GREY, "more than 1000000 pixels"),
        (sample.bomb(1001), GREY, "more than 1000000 pixels"),
        (saved(Image.new("L", (3, 300)), "PNG"), GREY, "less than 4 pixels a side"),
        (saved(Image.new("RGB", (9, 9)), "PNG"), GREY, "mode RGB does not become L"),
        (saved(Image.new("RGBA", (9, 9)), "PNG"), COLOUR, "mode RGBA does not become RGB"),
        (saved(Image.new("CMYK", (9, 9)), "JPEG"), COLOUR, "mode CMYK does not become RGB"),
        (saved(Image.new("I;16", (9, 9)), "PNG"), GREY, "mode I;16 does not become L"),
        (saved(Image.new("P", (9, 9)), "PNG", transparency=0), COLOUR, "mode P with transparency"),
        (
            saved(Image.new("RGB", (9, 9)), "WEBP", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")]),
            COLOUR,
            "more than one frame",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_image_is_refused_with_its_reason(content: bytes, form: Form, reason: str):
    with pytest.raises(BrokenImage, match=reason.replace("(", r"\(")):
        decode(content, form)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_what_loses_nothing_becomes_colour(mode: str, kind: str):
    pixels = decode(saved(Image.fromarray(noise(40, 60)).convert(mode), kind), COLOUR)
    assert pixels.shape == COLOUR.shape == (3, 32, 32)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    if mode != "RGB":
        assert (pixels[0] == pixels[2]).all()


def test_pixels_are_those_of_the_file_where_it_has_the_size_already():
    grey, colour = noise(16, 16), noise(32, 32, 3)
    assert (decode(sample.encoded(grey, "PNG"), GREY)[0] == grey).all()
    assert (decode(sample.encoded(colour, "PNG"), COLOUR) == colour.transpose(2, 0, 1)).all()


def test_a_photograph_with_a_picture_behind_it_is_the_first_of_them():
    first, second = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    pixels = decode(saved(first, "MPO", save_all=True, append_images=[second]), COLOUR)
    assert pixels[0].min() > 240
    assert pixels[2].max() < 15


def test_a_wide_picture_gives_its_middle_and_a_turned_one_stands_upright():
    wide = np.zeros((32, 96), np.uint8)
    wide[:, 32:64] = 255
    assert (decode(sample.encoded(wide, "PNG"), GREY)[0, :, 2:-2] == 255).all()
    top = np.zeros((16, 16), np.uint8)
    top[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    found = decode(saved(Image.fromarray(top), "PNG", exif=exif), GREY)[0]
    assert (found == top[::-1]).all()


def test_a_large_photograph_comes_out_the_same_whether_its_decoder_scales_it_down_or_not():
    photo = Image.fromarray(np.kron(noise(20, 20, 3), np.ones((50, 50, 1), np.uint8)))
    small = decode(saved(photo, "JPEG", quality=95), COLOUR).astype(int)
    exact = decode(saved(photo, "PNG"), COLOUR).astype(int)
    assert np.abs(small - exact).mean() < 6


def test_the_digit_files_hold_every_level_of_the_scans(digits: dict[str, bytes]):
    from sklearn.datasets import load_digits

    scans = load_digits()
    assert len(digits) == 1797
    for (path, content), scan, target in list(zip(digits.items(), scans.images, scans.target, strict=True))[::97]:
        assert path.startswith(f"label={target}/")
        assert (np.asarray(Image.open(io.BytesIO(content))) == scan * sample.STEP).all()


def test_the_photograph_tiles_are_colour_and_share_no_pixel():
    files = dict(sample.photos())
    assert Counter(path.split("/")[0] for path in files) == {"label=china": 260, "label=flower": 260}
    pixels = [decode(content, COLOUR) for content in files.values()]
    assert len({identity(each) for each in pixels}) == len(pixels)
    assert any((each[0] != each[1]).any() for each in pixels)


def put(root: Path, files: dict[str, bytes]) -> Storage:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return Storage(pyarrow.fs.LocalFileSystem(), str(root))  # type: ignore[arg-type]


def test_classes_come_from_the_partition_and_notes_are_no_images(tmp_path: Path):
    storage = put(
        tmp_path, {"s/label=a/split=x/1.png": b"1", "s/2.png": b"2", "s/_note.json": b"", "s/label=b/.x": b""}
    )
    files = source.survey(storage, "s", "label")
    assert {file.path: file.label for file in files} == {"s/label=a/split=x/1.png": "a", "s/2.png": None}
    assert {file.label for file in source.survey(storage, "s", "split")} == {"x", None}
    with pytest.raises(PayloadError, match="below a folder kind="):
        source.survey(storage, "s", "kind")
    with pytest.raises(PayloadError, match="holds no image"):
        source.survey(storage, "nowhere", "label")


def test_units_hold_every_file_once_and_mix_the_classes():
    files = tuple(source.File(f"s/label={label}/{n}.png", 1, 1, str(label)) for label in range(3) for n in range(100))
    planned = source.units(files, largest=64)
    assert sorted(file.path for unit in planned for file in unit.files) == sorted(file.path for file in files)
    assert {len(unit.files) for unit in planned} == {60}
    for unit in planned:
        assert min(Counter(file.label for file in unit.files).values()) >= 10
    assert source.Unit.from_json(planned[1].to_json()) == planned[1]


def job(storage: Storage) -> stages.Job:
    return stages.Job(storage, "out", GREY, max_bytes=10_000)


def decoded(storage: Storage, files: tuple[source.File, ...]) -> dict:
    return stages.decode(job(storage), source.Unit(0, files))


def test_what_cannot_be_read_is_set_apart_beside_what_can(tmp_path: Path, digits: dict[str, bytes]):
    (tmp_path / "out/_work/decode").mkdir(parents=True)
    (tmp_path / "out/_work/decoded").mkdir()
    (tmp_path / "out/quarantine").mkdir()
    good = list(digits.items())[:2]
    storage = put(tmp_path, {**dict(good), "large.png": b"\0" * 10_001, "bad.png": b"", "loose.png": good[0][1]})
    files = (
        source.File(good[0][0], 100, 1, "0"),
        source.File("gone.png", 100, 1, "0"),
        source.File("large.png", 10_001, 1, "0"),
        source.File("bad.png", 0, 1, "0"),
        source.File("loose.png", 100, 1, None),
        source.File(good[1][0], 100, 1, "1"),
    )
    receipt = decoded(storage, files)
    assert receipt["labels"] == ["0", "1"]
    bad = pq.read_table(tmp_path / "out/quarantine/part-000000.parquet").to_pylist()
    assert {row["path"]: row["reason"] for row in bad} == {
        "gone.png": "the file is gone",
        "large.png": "more than 0 MiB",
        "bad.png": "the file is empty",
        "loose.png": "no class in its path",
    }
    assert sum(receipt["reasons"].values()) == 4


def test_a_repeated_picture_stays_once_and_one_in_two_classes_goes():
    receipts = [
        {"ids": [1, 2, 3], "labels": ["a", "a", "b"]},
        {"ids": [], "labels": []},
        {"ids": [2, 3, 4, 1], "labels": ["a", "a", "b", "a"]},
    ]
    assert pipeline.repeated(receipts) == {
        2: {0: pipeline.SAME, 3: pipeline.SAME, 1: pipeline.CONTRADICTED},
        0: {2: pipeline.CONTRADICTED},
    }


def test_a_class_with_too_few_images_is_named():
    receipts = [{"ids": list(range(101)), "labels": ["a"] * 100 + ["b"]}]
    with pytest.raises(PayloadError, match="class b has 1 rows"):
        pipeline.cuts(receipts, {}, ImageSettings(run_name="x"))


def test_statistics_are_exact_however_many_parts_they_are_added_up_from():
    pixels = noise(200, 3, 5, 5)
    found = stages.of_channels(pixels)
    np.testing.assert_allclose(found.mean, (pixels / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(found.squares / found.count), (pixels / 255).std(axis=(0, 2, 3)), rtol=1e-12)
    assert stages.of_channels(pixels[:0]).count == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_an_augmented_image_depends_on_seed_epoch_and_itself_alone(channels: int):
    pixels, ids = noise(20, channels, 16, 16), np.arange(20)
    change = transforms(Recipe(0.5, 10, 0.08, 0.1, 0.2, 0.1, 42), channels)
    whole = augment(change, pixels, ids, epoch=3, seed=42)
    torch.manual_seed(1)
    other = augment(change, pixels[5:9][::-1], ids[5:9][::-1], epoch=3, seed=42)
    assert (other == whole[5:9][::-1]).all(), "not on its batch, nor on what was drawn before"
    assert (augment(change, pixels, ids, epoch=4, seed=42) != whole).any(axis=(1, 2, 3)).all()
    assert (augment(change, pixels, ids, epoch=3, seed=43) != whole).any(axis=(1, 2, 3)).all()
    same = augment(change, np.repeat(pixels[:1], 20, axis=0), ids, epoch=3, seed=42)
    assert len({each.tobytes() for each in same}) == 20, "each image has draws of its own"


def test_augmenting_leaves_the_generator_of_the_training_alone():
    before = torch.get_rng_state()
    augment(transforms(MILD, 1), noise(4, 1, 16, 16), np.arange(4), 0, 1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("strength", "value", "same"),
    [("flip", 1.0, False), ("rotate", 10, False), ("jitter", 0.2, False), ("hue", 0.1, True), ("flip", 0.0, True)],
)
def test_each_strength_does_its_part_and_none_does_nothing(strength: str, value: float, same: bool):
    none = {"flip": 0.0, "rotate": 0.0, "shift": 0.0, "zoom": 0.0, "jitter": 0.0, "hue": 0.0}
    pixels = noise(4, 1, 16, 16)
    found = augment(transforms(Recipe(**{**none, strength: value}, seed=1), 1), pixels, np.arange(4), 0, 1)
    assert (found == pixels).all() == same
    if strength == "flip" and value:
        assert (found == pixels[..., ::-1]).all()


def manifest(rows: list[int]) -> Manifest:
    files = [{"path": f"train/{number}", "rows": count} for number, count in enumerate(rows)]
    return Manifest({}, (1, 16, 16), ("a", "b"), (0.3,), (0.2,), 64, {}, {"train": files})


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_group_is_with_one_rank_and_all_ranks_take_equal_steps(world: int):
    plan = Plan.of(manifest([100, 128, 31]), seed=1, world=world)
    assert sorted(group.rows for group in plan.groups) == [31, 36, 64, 64, 64]
    for epoch in range(3):
        dealt = [group for rank in range(world) for group in plan.dealt(epoch, rank)]
        assert sorted(map(repr, dealt)) == sorted(map(repr, plan.groups))
        assert plan.rows(epoch) <= sum(group.rows for group in plan.groups) // world
    assert plan.dealt(0, 0) != plan.dealt(1, 0), "every epoch has an order of its own"
    assert plan.dealt(0, 0) == Plan.of(manifest([100, 128, 31]), seed=1, world=world).dealt(0, 0)


def test_fewer_groups_than_workers_are_an_error():
    with pytest.raises(PayloadError, match="1 row groups of train images are too few for 2 workers"):
        Plan.of(manifest([40]), seed=1, world=2)


def test_batches_are_cut_from_pieces_of_any_size():
    pieces = iter([(np.arange(start, end), np.arange(start, end)) for start, end in ((0, 5), (5, 6), (6, 16))])
    cutter = Cutter(pieces)
    taken = [cutter.take(rows)[0].tolist() for rows in (4, 4, 0, 8)]
    assert taken == [[0, 1, 2, 3], [4, 5, 6, 7], [], list(range(8, 16))]


def test_the_network_normalises_and_takes_any_number_of_rows_of_any_size():
    network = Network(Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), classes=7, width=8, stages=2).eval()
    pixels = torch.from_numpy(noise(3, 3, 20, 20)).float()
    seen = []
    network.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert network(pixels).shape == (3, 7)
    torch.testing.assert_close(seen[0], (pixels / 255 - 0.5) / 0.25)
    torch.testing.assert_close(network(pixels[:1]), network(pixels)[:1], rtol=1e-4, atol=1e-5)


def test_imagenet_statistics_are_for_colour():
    with pytest.raises(PayloadError, match="--mode RGB"):
        normalisation("imagenet", manifest([1]))
    assert normalisation("train", manifest([1])) == Normalisation((0.3,), (0.2,))


def test_ids_of_pictures_spread_over_the_split(digits: dict[str, bytes]):
    """Half of all ids are negative: as draws they must be as even as others."""
    ids = np.array([identity(decode(content, GREY)) for content in list(digits.values())[:600]])
    assert 200 < (ids < 0).sum() < 400
    draws = splits.draw(ids, seed=42)
    assert np.histogram(draws, bins=4, range=(0, 1))[0].min() > 100
