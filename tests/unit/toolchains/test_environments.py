"""Environments are made whole or not at all, by the real uv from wheels of our own."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from oakmill.errors import ToolchainBroken, ToolchainMissing
from oakmill.processes.tree import ask
from oakmill.settings import Settings
from oakmill.toolchains import environments, interpreters, making
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents, Libraries

pytestmark = pytest.mark.heavy

NAME = "toy/tool-1.0"
OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def wheel(folder: Path, name: str, tag: str = "py3-none-any", more: Mapping[str, str] | None = None) -> str:
    """Write a wheel with one module and return its line for a lock file."""
    path = folder / f"{name}-1.0-{tag}.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "answer = 42\n")
        for path_within, text in (more or {}).items():
            archive.writestr(path_within, text)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class Shop:
    """A folder of wheels, lock files for them, and the settings of a home of its own."""

    folder: Path
    settings: Settings

    def lock(self, *lines: str) -> Path:
        path = self.folder / f"{len(list(self.folder.iterdir()))}.lock"
        path.write_text(f"--no-index\n--find-links {self.folder}\n" + "".join(lines))
        return path

    def create(self, lock: Path, libraries: Libraries | None = None) -> Environment:
        python = interpreters.find(OURS, self.settings)
        return making.create(NAME, Contents(lock, libraries), python, self.settings)

    def load(self) -> Environment | None:
        return environments.load(NAME, self.settings)

    def left_over(self) -> set[str]:
        """What is beside the environment."""
        return {path.name for path in (self.settings.toolchains / NAME).parent.iterdir()} - {"tool-1.0"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "wheels").mkdir()
    return Shop(tmp_path / "wheels", Settings(home=tmp_path / "home"))


@pytest.fixture
def lock(shop: Shop) -> Path:
    return shop.lock(wheel(shop.folder, "good_toy"))


def test_an_environment_runs_from_its_final_place_and_is_recorded(shop: Shop, lock: Path) -> None:
    made = shop.create(lock)
    assert ask([made.python, "-c", "import good_toy; print(good_toy.__file__)"], 20) == (
        0,
        f"{made.folder}/lib/python{OURS}/site-packages/good_toy.py\n",
    )
    assert made.versions == {"good-toy": "1.0"}
    assert made.folder == shop.settings.toolchains / NAME
    assert shop.load() == made
    assert shop.left_over() == {".tool-1.0.lock"}


def test_its_modules_are_compiled_for_the_sandbox_that_lets_nothing_be_written(shop: Shop, lock: Path) -> None:
    made = shop.create(lock)
    assert len(list(made.folder.rglob("good_toy.*.pyc"))) == 1


def test_a_packages_own_tests_are_not_compiled_and_what_cannot_be_is_left(shop: Shop) -> None:
    """They are a quarter of what is installed, and compiling takes the longest."""
    more = {"toy_more/__init__.py": "", "toy_more/tests/test_it.py": "", "toy_more/old.py": "print 'of Python 2'\n"}
    made = shop.create(shop.lock(wheel(shop.folder, "toy_more", more=more)))
    assert {path.name.partition(".")[0] for path in made.folder.rglob("*.pyc")} >= {"toy_more", "__init__"}
    assert not list(made.folder.rglob("test_it.*.pyc"))
    assert list(made.folder.rglob("test_it.py")) and list(made.folder.rglob("old.py"))


def test_the_digest_names_what_is_in_it_and_nothing_else(shop: Shop, lock: Path) -> None:
    first = shop.create(lock)
    assert shop.create(lock).digest == first.digest
    other = shop.create(shop.lock(wheel(shop.folder, "good_toy"), wheel(shop.folder, "more")))
    assert other.digest != first.digest
    assert first.lock == Contents(lock).digest != other.lock


def test_wheels_for_another_python_are_unpacked_for_their_libraries(shop: Shop, lock: Path) -> None:
    line = wheel(shop.folder, "native", "cp39-cp39-manylinux_2_17_x86_64")
    made = shop.create(lock, Libraries(shop.lock(line), "3.9"))
    assert made.libraries is not None
    assert (made.libraries / "native.py").is_file()
    assert made.versions == {"good-toy": "1.0", "native": "1.0"}
    assert shop.load() == made


def test_a_wheel_that_is_not_the_locked_one_is_refused_in_uv_s_words(shop: Shop) -> None:
    line = wheel(shop.folder, "good_toy")
    bad = shop.lock(line[:-9] + "00000000\n")
    with pytest.raises(ToolchainMissing, match="Hash mismatch") as caught:
        shop.create(bad)
    assert caught.value.remedy.endswith(f"oakmill toolchains install {NAME}")
    assert shop.load() is None
    assert shop.left_over() == {".tool-1.0.lock"}


def test_a_package_without_a_hash_is_refused(shop: Shop) -> None:
    with pytest.raises(ToolchainMissing, match="hash"):
        shop.create(shop.lock(wheel(shop.folder, "good_toy").partition(" ")[0] + "\n"))


def test_a_package_that_cannot_be_had_is_named(shop: Shop) -> None:
    with pytest.raises(ToolchainMissing, match="no-such-thing"):
        shop.create(shop.lock("no-such-thing==1.0 --hash=sha256:" + "0" * 64 + "\n"))


def test_a_failed_install_keeps_the_environment_that_was_there(shop: Shop, lock: Path) -> None:
    before = shop.create(lock)
    with pytest.raises(ToolchainMissing):
        shop.create(shop.lock("no-such-thing==1.0 --hash=sha256:" + "0" * 64 + "\n"))
    assert shop.load() == before
    assert ask([before.python, "-c", "import good_toy"], 20)[0] == 0


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder: (folder / "toolchain.json").write_text("{"), "toolchain.json"),
        (lambda folder: (folder / "toolchain.json").write_text("[]"), "toolchain.json"),
        (lambda folder: (folder / "toolchain.json").unlink(), "toolchain.json"),
        (lambda folder: (folder / "bin" / "python").unlink(), "its Python is gone"),
        (lambda folder: shutil.rmtree(folder / "libraries"), "libraries is gone"),
    ],
)
def test_a_broken_environment_is_named_so_and_made_anew(shop: Shop, lock: Path, harm, why: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    libraries = Libraries(shop.lock(wheel(shop.folder, "native", "cp39-cp39-manylinux_2_17_x86_64")), "3.9")
    made = shop.create(lock, libraries)
    harm(made.folder)
    with pytest.raises(ToolchainBroken, match=why) as caught:
        shop.load()
    assert f"oakmill toolchains install {NAME}" in caught.value.remedy
    assert shop.create(lock, libraries) == made


MAKE = """
import os, signal, sys, time
from pathlib import Path
from oakmill.settings import Settings
from oakmill.toolchains import interpreters, making
home, lock, version, ending = sys.argv[1:]
settings = Settings(home=Path(home))
def watch(event):
    print(event.line, flush=True)
    if ending in event.line:
        os.kill(os.getpid(), signal.SIGKILL)
python = interpreters.find(version, settings)
print(making.create("toy/tool-1.0", making.Contents(Path(lock)), python, settings, watch).digest)
"""


def make(shop: Shop, lock: Path, ending: str) -> subprocess.Popen[str]:
    """Start another process that makes the same environment, and kills itself at a line with `ending`."""
    command = [sys.executable, "-c", MAKE, str(shop.settings.home), str(lock), OURS, ending]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_in_the_middle_leaves_nothing_that_passes_for_an_environment(shop: Shop, lock: Path) -> None:
    crashed = make(shop, lock, "Resolved 1 package")
    crashed.communicate()
    assert crashed.returncode == -signal.SIGKILL
    assert any(name.startswith(".tool-1.0@") for name in shop.left_over())
    assert shop.load() is None
    shop.create(lock)
    assert shop.left_over() == {".tool-1.0.lock"}


def test_of_several_makers_at_once_one_makes_it_and_all_have_it(shop: Shop, lock: Path) -> None:
    makers = [make(shop, lock, "never") for _ in range(3)]
    said = [maker.communicate()[0].splitlines() for maker in makers]
    made = shop.load()
    assert made is not None
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert {lines[-1] for lines in said} == {made.digest}
    assert sum("Waiting for another process" in lines[0] for lines in said) == 2
    assert sum(any("good-toy==1.0" in line for line in lines) for lines in said) == 1


def test_what_is_removed_is_gone_with_all_its_files(shop: Shop, lock: Path) -> None:
    shop.create(lock)
    assert environments.remove(NAME, shop.settings)
    assert shop.load() is None
    assert shop.left_over() == {".tool-1.0.lock"}
    assert not environments.remove(NAME, shop.settings)


@pytest.mark.parametrize("name", ["../../etc", "toy/../..", "toy", "/etc/passwd", "toy/.hidden", "a/b/c", ""])
def test_a_name_that_leads_elsewhere_is_refused(shop: Shop, name: str) -> None:
    with pytest.raises(ToolchainMissing, match="not the name of a toolchain"):
        environments.remove(name, shop.settings)


def test_another_machine_is_told_that_the_wheels_do_not_fit(
    shop: Shop, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ToolchainMissing, match="Linux on x86_64 only; this is Linux on aarch64"):
        shop.create(lock)


def test_a_home_that_cannot_be_written_is_named(shop: Shop, lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ToolchainMissing, match="Not a directory") as caught:
        Shop(shop.folder, Settings(home=tmp_path / "file")).create(lock)
    assert "OAKMILL_HOME" in caught.value.remedy


def test_the_record_says_what_it_was_made_of(shop: Shop, lock: Path) -> None:
    made = shop.create(lock)
    record = json.loads((made.folder / "toolchain.json").read_text())
    assert record["name"] == NAME
    assert record["python"] == platform.python_version()
    assert record["versions"] == {"good-toy": "1.0"}
    assert record["created"].endswith("+00:00")
