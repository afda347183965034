"""The real PyTorch toolchain: what it writes is run in onnxruntime, beside what PyTorch says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from oakmill.errors import ToolchainMissing
from oakmill.settings import current
from oakmill.toolchains import catalog, interpreters, making
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.torchscript import tiny
from oakmill.toolchains.torchscript.toolchain import OPSET, TorchScriptToolchain
from tests.tools import installed

PICTURE = {"left": np.full((1, 3, 2, 2), 3, np.float32), "right": np.ones((1, 3, 2, 2), np.float32)}
ARGUMENTS = "left: Tensor,\n    right: Tensor"


@pytest.fixture(scope="session")
def toolchain() -> TorchScriptToolchain:
    return installed(TorchScriptToolchain(current()))


def test_it_verifies_itself_and_is_the_build_for_the_cpu(toolchain: TorchScriptToolchain) -> None:
    assert toolchain.verify()["onnx_bytes"] > 100
    assert toolchain.status().versions["torch"] == "2.13.0+cpu"
    assert not [name for name in toolchain.status().versions if "nvidia" in name or "cuda" in name]
    assert catalog.find(toolchain.name, current()).name == toolchain.name


def test_inputs_come_in_their_order_and_nested_outputs_are_laid_flat(
    toolchain: TorchScriptToolchain, tmp_path: Path
) -> None:
    body = "return (torch.sub(left, right), [torch.mul(left, right), left])"
    returns = "Tuple[Tensor, List[Tensor]]"
    model = tiny.write_model(tmp_path / "two.pt", arguments=ARGUMENTS, returns=returns, body=body)
    exported = toolchain.export(model, tmp_path / "job", [PICTURE])
    graph = onnx.load(exported.onnx)
    assert [item.version for item in graph.opset_import if not item.domain] == [OPSET]
    session = ort.InferenceSession(exported.onnx)
    assert [item.name for item in session.get_inputs()] == ["left", "right"]
    assert (
        list(exported.answers[0]) == [item.name for item in session.get_outputs()] == ["output0", "output1", "output2"]
    )
    for found, wanted in zip(session.run(None, PICTURE), exported.answers[0].values(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert exported.answers[0]["output0"].flat[0] == 2


@pytest.mark.parametrize(
    ("body", "returns", "kind"),
    [
        ("return torch.no_such_operation(x)", "Tensor", "load"),
        ("return torch.reshape(x, [7, 7])", "Tensor", "run"),
        ("return 3", "int", "run"),
        ("return torch.special_bessel_j0(x)", "Tensor", "conversion"),
    ],
)
def test_what_pytorch_refuses_is_told_with_the_step(
    toolchain: TorchScriptToolchain, tmp_path: Path, body: str, returns: str, kind: str
) -> None:
    model = tiny.write_model(tmp_path / "bad.pt", returns=returns, body=body)
    with pytest.raises(RunnerError) as caught:
        toolchain.export(model, tmp_path / "job", [{tiny.INPUT: tiny.PICTURE}])
    assert caught.value.kind == kind
    assert caught.value.message
    assert "Traceback" not in caught.value.message


def test_where_no_build_for_the_cpu_can_be_had_nothing_is_taken_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name and number without the mark of the CPU build would be gigabytes of CUDA."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    settings = current().model_copy(update={"home": tmp_path / "home", "toolchains": tmp_path / "toolchains"})
    lock = tmp_path / "requirements.lock"
    whole = Path(making.__file__).parent / "torchscript" / "requirements.lock"
    pip = whole.read_text().partition("\npip==")[2].partition("\nprotobuf")[0]
    lock.write_text(f"pip=={pip}\n")
    with pytest.raises(ToolchainMissing, match="pip says") as caught:
        by_pip = making.ByPip("torch==2.13.0+cpu", "Lead pip to it, then:")
        contents = making.Contents(lock, by_pip=by_pip)
        making.create("toy/torch", contents, interpreters.find("3.11", settings), settings)
    assert "torch==2.13.0+cpu" in caught.value.message
    assert caught.value.remedy == "Lead pip to it, then: oakmill toolchains install toy/torch"
    assert not (tmp_path / "toolchains" / "toy" / "torch").exists()
