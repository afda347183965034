"""The reasons in the provider's verbose log, as onnxruntime-qnn 2.7.0 wrote it, are found for each node."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from oakmill.toolchains.rvc4.runner import provider

LOG = """\
[V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation FAILED for 2 nodes in OrtNodeUnit (Conv) :
\tOperator type: DequantizeLinear Node name: conv read Node index: 0
\tOperator type: Conv Node name: conv Node index: 1
\tREASON : Cannot get shape

[V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation FAILED for 1 nodes in OrtNodeUnit (Det) :
\tOperator type: Det Node name:  Node index: 2
\tREASON : Operators of type `Det` are not supported by QNN EP.
[V:onnxruntime:, qnn_execution_provider.cc:1713 LogNodeSupport] Validation FAILED for 1 nodes in OrtNodeUnit (Det) :
\tOperator type: Det Node name:  Node index: 2
\tREASON : another reason, in the second round
"""
BROKEN = "\x1b[1;31m[E:onnxruntime] EP_FAIL : QNN SetupBackend failed Failed to create device. Error: INVALID\x1b[m\n"


def test_each_node_has_its_first_reason(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    reasons, broken = provider._reasons(tmp_path / "log")
    assert reasons == {
        ("DequantizeLinear", "conv read"): "Cannot get shape",
        ("Conv", "conv"): "Cannot get shape",
        ("Det", ""): "Operators of type `Det` are not supported by QNN EP.",
    }
    assert not broken


def test_a_backend_that_does_not_start_is_not_blamed_on_the_nodes(tmp_path: Path) -> None:
    """QAIRT 2.49 under the provider 2.7.0: all nodes were listed as left to the CPU, without a reason."""
    (tmp_path / "log").write_text(BROKEN)
    assert provider._reasons(tmp_path / "log") == ({}, "Failed to create device. Error: INVALID")


def test_helpers_are_listed_only_where_nothing_else_is_left() -> None:
    def session(*kinds: str) -> SimpleNamespace:
        nodes = [SimpleNamespace(op_type=kind, name=kind.lower()) for kind in kinds]
        ours = SimpleNamespace(ep_name=provider.PROVIDER, get_nodes=lambda: [])
        left = SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: nodes)
        return SimpleNamespace(get_provider_graph_assignment_info=lambda: [ours, left])

    assert provider._left_to_cpu(session("QuantizeLinear", "Det")) == [("Det", "det")]
    assert provider._left_to_cpu(session("QuantizeLinear")) == [("QuantizeLinear", "quantizelinear")]
