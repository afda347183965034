"""The house's order: imports point one way only, as docs/explain/architecture.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

SOURCE = PROJECT / "src" / "oakmill"

ALLOWED = {
    "spec": set(),
    "model": {"spec"},
    "graph": {"spec", "model.source", "model.weights"},
    "calibration": {"spec", "model.source"},
    "toolchains": {"spec", "model.source"},
    "conversion": {"spec", "model", "graph", "calibration", "toolchains"},
    "storage": {"spec"},
    "registry": {"storage", "spec", "model"},
    "jobs": {"registry", "storage", "conversion", "toolchains", "calibration", "model", "spec"},
    "api": {"jobs", "registry", "storage", "conversion", "toolchains", "calibration", "model", "spec"},
    "web": {
        "api",
        "jobs",
        "registry",
        "storage",
        "conversion",
        "toolchains",
        "calibration",
        "graph",
        "model",
        "spec",
    },
    "client": {"spec"},
    "compat": {"api", "jobs", "registry", "storage", "conversion", "toolchains", "calibration", "model", "spec"},
    "cli": {
        "api",
        "client",
        "server",
        "spec",
        "model",
        "graph",
        "calibration",
        "toolchains",
        "conversion",
        "jobs",
        "registry",
        "storage",
    },
}
"""For each part of the house, the parts that it may import; `errors`, `settings` and the version are everybody's."""

EVERYBODYS = {"errors", "settings", "__version__"}
RUNNER_PACKAGES = {
    "runner",
    "numpy",
    "bsdiff4",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "tf2onnx",
    "ai_edge_litert",
    "torch",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full names of all modules and names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0]
    if part not in ALLOWED or "runner" in path.parts:
        return
    for name in imports(path):
        if name.startswith("oakmill."):
            target = name.removeprefix("oakmill.")
            allowed = ALLOWED[part] | EVERYBODYS | {part}
            assert any(target == a or target.startswith(f"{a}.") for a in allowed), f"{path} imports {name}"


def test_toolchains_never_import_each_other() -> None:
    for path in modules():
        parts = path.relative_to(SOURCE).parts
        if parts[0] == "toolchains" and len(parts) > 2:
            others = {name.split(".")[2] for name in imports(path) if name.startswith("oakmill.toolchains.rvc")}
            assert others <= {parts[1]}, path


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if "runner" in path.parts],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_a_runner_imports_the_standard_library_and_its_own_packages_alone(path: Path) -> None:
    import sys

    for name in imports(path):
        top = name.split(".")[0]
        assert top in RUNNER_PACKAGES or top in sys.stdlib_module_names, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_opens_with_a_sentence_and_stays_short(path: Path) -> None:
    text = path.read_text()
    if not text:
        return
    assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is for"
    assert text.count("\n") <= 400, f"{path} has more than 400 lines"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    for node in functions(path):
        assert (node.end_lineno or 0) - node.lineno < 60, f"{path}: {node.name}"


def test_no_package_registry_is_named_in_the_project() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "files.python" + "hosted"]
    suffixes = {".py", ".toml", ".lock", ".md", ".sh", ".json", ".yaml", ".yml", ""}
    for path in PROJECT.rglob("*"):
        inside = path.relative_to(PROJECT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".npmrc") for part in inside)
        if hidden or "node_modules" in inside or not path.is_file() or path.suffix not in suffixes:
            continue
        text = path.read_text(errors="replace")
        assert not [host for host in hosts if host in text], path
