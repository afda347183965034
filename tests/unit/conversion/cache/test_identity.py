from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import oakmill
from oakmill.conversion.cache import identity
from oakmill.settings import Settings
from oakmill.spec import InputSpec, Rvc2Spec, Rvc4Spec


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"a")
    (folder / "inner" / "b.png").write_bytes(b"b")
    (folder / ".hidden").write_bytes(b"x")
    return folder


def test_the_code_counts_that_decides_bytes_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub around a conversion grew, and all that had been converted before it was converted again."""
    for part in ("graph", "web"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "part.py").write_text("1")
    monkeypatch.setattr(oakmill, "__file__", str(tmp_path / "__init__.py"))

    def code_with(part: str) -> str:
        (tmp_path / part / "part.py").write_text("2")
        identity.code.cache_clear()
        return identity.code()

    identity.code.cache_clear()
    first = identity.code()
    assert code_with("web") == first
    assert code_with("graph") != first
    identity.code.cache_clear()


def test_the_question_is_put_without_a_large_library() -> None:
    """Importing numpy and onnx takes longer than an answer from the cache may."""
    heavy = ("numpy", "onnx", "onnxruntime", "PIL", "rich", "yaml")
    code = f"import sys, oakmill.cli.convert; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: TID251
    assert found.stdout.strip() == "[]"


def test_each_file_of_a_folder_counts_by_name_and_content(pictures: Path, settings: Settings) -> None:
    def asked() -> object:
        return identity.spec_of(Rvc2Spec(verification_images=pictures), settings)

    first = asked()
    assert first == asked()
    (pictures / ".hidden").write_bytes(b"y")
    assert asked() == first
    (pictures / "inner" / "b.png").write_bytes(b"B")
    second = asked()
    assert second != first
    (pictures / "inner" / "b.png").rename(pictures / "inner" / "c.png")
    assert asked() not in (first, second)


def test_the_place_of_test_images_does_not_count(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    first = identity.spec_of(Rvc2Spec(verification_images=pictures), settings)
    (tmp_path / "elsewhere").mkdir()
    moved = pictures.rename(tmp_path / "elsewhere" / "pictures")
    assert identity.spec_of(Rvc2Spec(verification_images=moved), settings) == first
    other = moved.rename(tmp_path / "elsewhere" / "photos")  # the passport says their folder's name
    assert identity.spec_of(Rvc2Spec(verification_images=other), settings) != first


def test_a_folder_behind_a_link_or_gone_cannot_be_told(pictures: Path, settings: Settings) -> None:
    (pictures / "link").symlink_to(pictures / "inner", target_is_directory=True)
    assert identity.spec_of(Rvc2Spec(verification_images=pictures), settings) is None
    assert identity.spec_of(Rvc2Spec(verification_images=pictures / "gone"), settings) is None


@pytest.mark.parametrize("precision", ["INT8", "FP16"])
def test_what_teaches_counts_where_something_is_taught(precision: str, pictures: Path, settings: Settings) -> None:
    spec = Rvc4Spec.model_validate({"quantization_data": str(pictures), "target_precision": precision})
    first = identity.spec_of(spec, settings)
    (pictures / "a.png").write_bytes(b"A")
    assert (identity.spec_of(spec, settings) == first) == (precision == "FP16")


def test_a_word_counts_as_set_and_as_folder(
    pictures: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    spec = Rvc4Spec(quantization_data="pictures")
    first = identity.spec_of(spec, settings)
    assert first is not None and first["contents"]["quantization_data"]
    (settings.datasets / "pictures").mkdir(parents=True)
    (settings.datasets / "pictures" / "set.json").write_text("{}")
    assert identity.spec_of(spec, settings) != first


@pytest.mark.parametrize(
    "spec",
    [
        Rvc2Spec(seed=1),
        Rvc2Spec(blob=True),
        Rvc2Spec(name="other"),
        Rvc2Spec(compile_tool_args=("-ip", "FP16")),
        Rvc2Spec(inputs=(InputSpec(mean_values=(1.0,)),)),
    ],
)
def test_each_parameter_counts(spec: Rvc2Spec, settings: Settings) -> None:
    assert identity.spec_of(spec, settings) != identity.spec_of(Rvc2Spec(), settings)


def test_vendor_tools_of_the_users_own_have_no_digest(settings: Settings, tmp_path: Path) -> None:
    own = {"rvc2_libraries": {"2022.3.0": tmp_path}, "qairt_root": tmp_path}
    for name, value in own.items():
        changed = settings.model_copy(update={name: value})
        assert identity.uses_own_tools(Rvc2Spec(), changed) == (name == "rvc2_libraries")
        assert identity.uses_own_tools(Rvc4Spec(), changed) == (name == "qairt_root")
    assert not identity.uses_own_tools(Rvc2Spec(), settings)


def test_a_toolchain_that_is_not_whole_has_no_digest(settings: Settings) -> None:
    assert identity.toolchains([], settings) == {}
    assert identity.toolchains(["rvc2/openvino-2022.2.0"], settings) is None
    (settings.toolchains / "rvc2" / "openvino-2022.2.0").mkdir(parents=True)
    assert identity.toolchains(["rvc2/openvino-2022.2.0"], settings) is None
