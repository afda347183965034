"""A backup by the command line while the hub runs; a restored hub knows the same keys and gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from oakmill.client import Hub
from tests.client.conftest import Shell
from tests.client.test_whole_way import upload
from tests.conversion.makers import conv_model, saved
from tests.hub_servers import ServedHub


def test_a_hub_is_backed_up_while_it_runs_and_restored_elsewhere(
    serving: ServedHub, hub: Hub, shell: Shell, tmp_path: Path
) -> None:
    source = saved(conv_model(opset=9), tmp_path / "saved.onnx")
    instance = upload(hub, "saved", source)
    said = shell.run("backup", "copy", home=serving.home).stdout
    assert said.startswith("copy: ")
    shell.run("backup", "copy", code=9, home=serving.home)

    new = tmp_path / "new"
    assert "restored" in shell.run("restore", "copy", home=new).stdout
    shell.run("restore", "copy", code=9, home=new)
    shell.run("restore", "config", code=10, home=tmp_path / "other")
    with ServedHub(new) as other:
        assert other.key == ""
        with Hub(other.url, serving.key) as again:
            (path,) = again.instances.download(instance, tmp_path / "got")
            assert path.read_bytes() == source.read_bytes()
