"""The house's style, over all files at once; which room may import which is in pyproject.toml, for `lint-imports`."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import PROJECT

SOURCE = PROJECT / "src" / "oakmill"
MODULES = {str(path.relative_to(SOURCE)): path for path in sorted(SOURCE.rglob("*.py"))}

RUNNER_PACKAGES = {
    "runner",
    "frame",
    "outgoing",
    "huggingface_hub",
    "httpx2",
    "hubai_sdk",
    "requests",
    "loguru",
    "numpy",
    "bsdiff4",
    "flatbuffers",
    "onnx",
    "onnxruntime",
    "openvino",
    "aimet_onnx",
    "nncf",
    "tf2onnx",
    "ai_edge_litert",
    "torch",
    "ultralytics",
}


@cache
def trees() -> dict[str, ast.Module]:
    """All files, parsed: by who asks first, not by everybody who collects tests."""
    return {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports(tree: ast.Module) -> Iterator[str]:
    """The full names of all modules and names that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_rules_see_all_of_the_house() -> None:
    assert len(MODULES) > 300
    assert len([name for name in MODULES if "/runner/" in name]) > 5


def test_a_runner_imports_the_standard_library_and_its_own_packages_alone() -> None:
    allowed = RUNNER_PACKAGES | set(sys.stdlib_module_names)
    runners = {name: tree for name, tree in trees().items() if "/runner/" in name}
    assert [
        (name, item) for name, tree in runners.items() for item in imports(tree) if item.split(".")[0] not in allowed
    ] == []


def test_modules_are_imported_by_statements_not_by_strings() -> None:
    def by_string(tree: ast.Module) -> bool:
        calls = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        return bool(calls & {"import_module", "__import__"}) or "importlib" in set(imports(tree))

    assert [name for name, tree in trees().items() if by_string(tree)] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in trees().items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_module_has_more_than_400_lines() -> None:
    assert [name for name, path in MODULES.items() if path.read_text().count("\n") > 400] == []


def test_no_function_is_longer_than_a_screen() -> None:
    functions = (
        (name, node)
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [(name, node.name) for name, node in functions if (node.end_lineno or 0) - node.lineno >= 60] == []


def test_no_package_registry_is_named_in_the_project() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "files.python" + "hosted"]
    suffixes = {".py", ".toml", ".lock", ".md", ".sh", ".json", ".yaml", ".yml", ""}
    texts = {path: path.read_text(errors="replace") for path in project_files() if path.suffix in suffixes}
    assert len(texts) > 500
    assert [path for path, text in texts.items() if any(host in text for host in hosts)] == []


def project_files() -> Iterator[Path]:
    """All files but npm's and those in hidden folders, of which continuous integration's is the project's own."""
    for folder, folders, names in os.walk(PROJECT):
        folders[:] = [name for name in folders if name == ".ci" or not name.startswith((".", "node_modules"))]
        yield from (Path(folder, name) for name in names if name == ".npmrc" or not name.startswith("."))
