from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from oakmill.calibration import datasets
from oakmill.calibration.datasets import SetMissing
from oakmill.conversion.events import Progress
from oakmill.conversion.images.choose import choose, choose_test_images, split
from oakmill.conversion.images.samples import GENERATED
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.platform import Images
from oakmill.errors import SourceError, SpecError
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from tests.unit.conversion.preparing import numbers_input, photos, picture_input

FILES = [Path(f"{index:04}.png") for index in range(400)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 30, 256, 257, 300, 320, 321, 400])
@pytest.mark.parametrize(("calibrating", "held_out"), [(256, 64), (1, 1), (4096, 4096), (10, 64)])
def test_no_file_is_in_both_parts_and_none_is_there_twice(count: int, calibrating: int, held_out: int) -> None:
    found = split(FILES[:count], calibrating, held_out, seed=3)
    everything = [*found.calibration_images, *found.held_out]
    assert len(set(everything)) == len(everything) <= count
    assert 1 <= len(found.calibration_images) <= calibrating
    assert len(found.held_out) <= held_out
    assert found.held_out or count == 1


def test_enough_files_give_as_many_as_were_asked_for() -> None:
    found = split(FILES, 256, 64, seed=0)
    assert (len(found.calibration_images), len(found.held_out)) == (256, 64)


def test_of_too_few_files_one_in_five_is_kept_back() -> None:
    found = split(FILES[:100], 256, 64, seed=0)
    assert (len(found.calibration_images), len(found.held_out)) == (80, 20)


@pytest.mark.parametrize("fewer", [1, 20, 50, 79])
def test_fewer_images_are_the_beginning_of_the_same_order(fewer: int) -> None:
    """The calibration images began behind what was kept back: 50 of 100 images were others than the first 50 of 80."""
    more = split(FILES[:100], 256, 64, seed=0)
    less = split(FILES[:100], fewer, 64, seed=0)
    assert less.calibration_images == more.calibration_images[:fewer]
    assert less.held_out[: len(more.held_out)] == more.held_out


def test_fewer_test_images_are_the_beginning_of_the_same_order() -> None:
    assert split(FILES, 100, 8, seed=0).held_out == split(FILES, 100, 64, seed=0).held_out[:8]


def test_the_order_is_the_seeds_and_not_the_lists() -> None:
    assert split(FILES, 9, 9, seed=1) == split(FILES[::-1], 9, 9, seed=1)
    assert split(FILES, 9, 9, seed=1) != split(FILES, 9, 9, seed=2)


def test_one_file_teaches_and_of_two_one_tests() -> None:
    assert split(FILES[:1], 256, 64, seed=0).calibration_images == (FILES[0],)
    assert split(FILES[:1], 256, 64, seed=0).held_out == ()
    two = split(FILES[:2], 256, 64, seed=0)
    assert {*two.calibration_images, *two.held_out} == set(FILES[:2])
    assert len(two.calibration_images) == len(two.held_out) == 1


# chosen


class Chosen:
    """What a choice gave, and what it told."""

    def __init__(self, spec: Rvc4Spec, inputs: list[ResolvedInput], tmp_path: Path) -> None:
        self.progress = Progress()
        settings = Settings(home=tmp_path / "home")
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        self.images: Images = choose(spec, inputs, work, settings, self.progress)

    @property
    def calibration_images(self) -> list[dict[str, np.ndarray]]:
        assert self.images.calibration_images is not None
        return list(self.images.calibration_images)


def test_a_folder_teaches_and_tests_with_different_pictures(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 10)
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path)
    assert chosen.images.calibration_images is not None
    assert (len(chosen.images.calibration_images), len(chosen.images.held_out)) == (8, 2)
    assert not set(chosen.images.calibration_images.sha256) & set(chosen.images.held_out.sha256)
    assert chosen.images.calibration_set == "photos"
    assert "8 images of 'photos' calibrate the quantization" in chosen.progress.notes
    assert chosen.calibration_images[0]["image"].shape == (1, 8, 8, 3)


def test_copies_count_once_before_the_set_is_parted(tmp_path: Path) -> None:
    """Of 40 copies of one image 32 taught and 8 tested, "none of them among those that taught", which was untrue."""
    folder = photos(tmp_path / "photos", 10)
    for index in range(30):
        (folder / f"copy{index}.png").write_bytes((folder / f"{index % 3:03}.png").read_bytes())
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path)
    assert chosen.images.calibration_images is not None
    taught, tested = chosen.images.calibration_images.sha256, chosen.images.held_out.sha256
    assert (len(taught), len(tested), len({*taught, *tested})) == (8, 2, 10)
    assert "30 of 40 files are copies of others, and count once" in chosen.progress.notes


def test_copies_of_one_picture_are_one_picture(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 1)
    (folder / "copy.png").write_bytes((folder / "000.png").read_bytes())
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path)
    assert (len(chosen.calibration_images), chosen.images.held_out.source) == (1, GENERATED)


def test_one_picture_teaches_and_the_test_is_said_to_prove_little(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 1)
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path)
    assert len(chosen.calibration_images) == 1
    assert chosen.images.held_out.source == GENERATED
    assert any("proves little" in warning for warning in chosen.progress.warnings)


def test_a_set_that_is_not_installed_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(SetMissing) as caught:
        Chosen(Rvc4Spec(quantization_data="FOOD"), [picture_input()], tmp_path)
    assert "oakmill datasets install food" in caught.value.remedy


def test_the_users_own_test_images_are_taken_without_those_that_teach(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 6)
    others = photos(tmp_path / "others", 3, seed=9)
    (others / "it_teaches.png").write_bytes((folder / "000.png").read_bytes())
    spec = Rvc4Spec(quantization_data=str(folder), max_quantization_images=6, verification_images=others)
    chosen = Chosen(spec, [picture_input()], tmp_path)
    assert chosen.images.calibration_images is not None
    was_taught = "000.png" in chosen.images.calibration_images.names
    assert ("it_teaches.png" in chosen.images.held_out.names) is not was_taught
    assert not set(chosen.images.held_out.sha256) & set(chosen.images.calibration_images.sha256)


def test_test_images_that_all_calibrate_are_refused(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 1)
    spec = Rvc4Spec(quantization_data=str(folder), verification_images=folder)
    with pytest.raises(SpecError, match="among those that calibrate"):
        Chosen(spec, [picture_input()], tmp_path)


def test_without_quantization_pictures_are_the_users_or_made(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 4)
    made = choose_test_images(
        Rvc4Spec(target_precision="FP16", max_verification_images=3), [picture_input()], Progress()
    )
    assert (made.held_out.source, len(made.held_out), made.calibration_images) == (GENERATED, 3, None)
    for spec in (Rvc4Spec(target_precision="FP16"), Rvc4Spec(target_precision="FP16", max_verification_images=64)):
        assert len(choose_test_images(spec, [picture_input()], Progress()).held_out) == 8, (
            "a replay, with a whole spec, has others"
        )
    own = choose_test_images(
        Rvc4Spec(target_precision="FP16", verification_images=folder), [picture_input()], Progress()
    )
    assert (own.held_out.source, len(own.held_out)) == ("photos", 4)


def test_random_pixels_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = photos(tmp_path / "photos", 5)
    found = datasets.Dataset("random", folder, tuple(folder.iterdir()), "named", note=datasets.RANDOM_WARNING)
    monkeypatch.setattr(datasets, "resolve", lambda value, settings, work: found)
    chosen = Chosen(Rvc4Spec(quantization_data="RANDOM"), [picture_input()], tmp_path)
    assert chosen.progress.warnings == [datasets.RANDOM_WARNING]


# several inputs


def test_the_same_pictures_go_to_every_input_of_pixels(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 4)
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input("left"), picture_input("right")], tmp_path)
    for sample in chosen.calibration_images:
        np.testing.assert_array_equal(sample["left"], sample["right"])


def test_an_input_that_is_no_picture_needs_files_of_its_own(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 4)
    with pytest.raises(SpecError, match="'state' is no image") as caught:
        Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input(), numbers_input()], tmp_path)
    assert "image, state" in caught.value.remedy


def pairs(folder: Path, count: int, numbers: int) -> Path:
    """Pictures for `image`, and for `state` vectors in whose every value the picture's number stands."""
    photos(folder / "image", count)
    (folder / "state").mkdir()
    for index in range(numbers):
        np.save(folder / "state" / f"{index:03}.npy", np.full((1, 4), index, np.float32))
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_for_each_input_gives_samples_that_belong_together(zipped: bool, tmp_path: Path) -> None:
    source = pairs(tmp_path / "pairs", 10, 10)
    if zipped:
        with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
            for file in sorted(source.rglob("*.*")):
                archive.write(file, file.relative_to(source))
        source = tmp_path / "pairs.zip"
    chosen = Chosen(Rvc4Spec(quantization_data=str(source)), [numbers_input(), picture_input()], tmp_path)
    images = chosen.images
    assert images.calibration_images is not None
    for part in (images.calibration_images, images.held_out):
        pictures = next(samples for samples in part.samples if samples.names[0].endswith(".png"))
        for name, sample in zip(pictures.names, part, strict=True):
            assert (sample["state"] == int(Path(name).stem)).all()
    assert (len(images.calibration_images), len(images.held_out)) == (8, 2)


def test_folders_of_different_length_are_refused_with_the_numbers(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs", 3, 2)
    with pytest.raises(SpecError, match=r"image: 3, state: 2"):
        Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input(), numbers_input()], tmp_path)


def test_empty_folders_of_the_inputs_names_are_passed_over(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 3)
    (folder / "image").mkdir()
    assert len(Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path).calibration_images) == 2


# arrays


def arrays(folder: Path, *values: np.ndarray) -> Path:
    folder.mkdir()
    for index, array in enumerate(values):
        np.save(folder / f"{index}.npy", array)
    return folder


def planes() -> np.ndarray:
    """[1, 3, 8, 8], every value its own place."""
    return np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("batched", [True, False])
def test_arrays_of_the_sources_layout_land_in_that_of_the_device(
    dtype: type[np.generic], batched: bool, tmp_path: Path
) -> None:
    array = planes().astype(dtype)
    folder = arrays(tmp_path / "arrays", array if batched else array[0])
    (sample,) = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path).calibration_images
    assert sample["image"].dtype == np.float32
    np.testing.assert_array_equal(sample["image"], planes().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_raw_files_are_bare_numbers_of_the_sources_layout(dtype: type[np.generic], tmp_path: Path) -> None:
    """They were given to the reader of pictures, which knew no such file."""
    folder = tmp_path / "raws"
    folder.mkdir()
    (folder / "0.raw").write_bytes(planes().astype(dtype).tobytes())
    (sample,) = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path).calibration_images
    np.testing.assert_array_equal(sample["image"], planes().transpose(0, 2, 3, 1))
    (folder / "0.raw").write_bytes(bytes(100))
    chosen = Chosen(Rvc4Spec(quantization_data=str(folder)), [picture_input()], tmp_path)
    with pytest.raises(SpecError, match="has 100 bytes"):
        list(chosen.calibration_images)


def test_raw_files_of_a_modelconverters_user_are_nhwc(tmp_path: Path) -> None:
    """They have as many bytes as those of the source's layout, so they calibrated with shuffled pixels, in silence."""
    from dataclasses import replace

    folder = tmp_path / "raws"
    folder.mkdir()
    (folder / "0.raw").write_bytes(np.ascontiguousarray(planes().transpose(0, 2, 3, 1)).tobytes())
    item = picture_input()
    spec = Rvc4Spec(quantization_data=str(folder), raw_layout="NHWC")
    (sample,) = Chosen(spec, [replace(item, raw_layout=item.layout)], tmp_path).calibration_images
    np.testing.assert_array_equal(sample["image"], planes().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("array", [planes() - 1, planes() * 2], ids=["below", "above"])
def test_values_that_no_camera_gives_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    chosen = Chosen(Rvc4Spec(quantization_data=str(arrays(tmp_path / "arrays", array))), [picture_input()], tmp_path)
    with pytest.raises(SpecError, match="holds values from") as caught:
        list(chosen.calibration_images)
    assert "mean and scale are applied inside" in caught.value.remedy


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 8, 8, 3), "f"), r"shape \(1, 8, 8, 3\), but the input's is \(1, 3, 8, 8\)"),
        (np.zeros(5, "f"), "has the shape"),
        (np.full((1, 3, 8, 8), "x"), "not numbers"),
        (np.zeros((1, 3, 8, 8), "c8"), "not numbers"),
        (np.full((1, 3, 8, 8), np.nan, "f"), "NaN"),
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(array: np.ndarray, words: str, tmp_path: Path) -> None:
    chosen = Chosen(Rvc4Spec(quantization_data=str(arrays(tmp_path / "arrays", array))), [picture_input()], tmp_path)
    with pytest.raises((SpecError, SourceError), match=words):
        list(chosen.calibration_images)


def test_test_images_may_have_a_folder_for_each_input_too(tmp_path: Path) -> None:
    """`--images` took all files of all folders for the image, and made numbers for the other input, without a word."""
    folder = pairs(tmp_path / "pairs", 6, 6)
    spec = Rvc4Spec(target_precision="FP16", verification_images=folder, max_verification_images=4)
    images = choose_test_images(spec, [numbers_input(), picture_input()], Progress()).held_out
    assert len(images) == 4
    for name, sample in zip(images.samples[1].names, images, strict=True):
        assert (sample["state"] == int(Path(name).stem)).all()


def test_test_folders_lose_the_samples_that_teach(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs", 6, 6)
    spec = Rvc4Spec(quantization_data=str(folder), verification_images=folder, max_quantization_images=4)
    images = Chosen(spec, [numbers_input(), picture_input()], tmp_path).images
    assert images.calibration_images is not None
    taught = {Path(name).stem for name in images.calibration_images.names}
    assert {Path(name).stem for name in images.held_out.names} == {f"{index:03}" for index in range(6)} - taught


def test_a_sample_teaches_with_all_its_inputs_not_with_the_first_alone(tmp_path: Path) -> None:
    """One state for all images, as `0` for "no history": every test image counted as one that calibrates."""
    calibrating, testing = pairs(tmp_path / "some", 4, 4), pairs(tmp_path / "others", 4, 4)
    for folder in (calibrating, testing):
        for file in (folder / "state").iterdir():
            np.save(file, np.zeros((1, 4), np.float32))
    photos(testing / "image", 4, seed=9)
    (testing / "image" / "003.png").write_bytes((calibrating / "image" / "003.png").read_bytes())
    spec = Rvc4Spec(quantization_data=str(calibrating), verification_images=testing)
    images = Chosen(spec, [numbers_input(), picture_input()], tmp_path).images
    assert images.calibration_images is not None
    taught = "003.png" in {Path(name).name for name in images.calibration_images.samples[1].names}
    assert len(images.held_out) == (3 if taught else 4)


def test_the_only_input_gets_the_users_files_also_where_it_is_no_image(tmp_path: Path) -> None:
    """A folder of .npy was given, and the accuracy measured on made numbers."""
    for index in range(3):
        np.save(tmp_path / f"{index}.npy", np.full((1, 4), index, np.float32))
    spec = Rvc4Spec(target_precision="FP16", verification_images=tmp_path)
    images = choose_test_images(spec, [numbers_input()], Progress()).held_out
    assert sorted(sample["state"][0, 0] for sample in images) == [0, 1, 2]
