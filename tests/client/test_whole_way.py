"""From a laptop to a hub and back, by the command line and by the client, against a process that serves."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from pathlib import Path

import pytest

from oakmill.client import Hub, Job, Line, Told
from oakmill.errors import Conflict, Forbidden, HubUnreachable, NoKey, NotAModel, NotFound, OutputExists, SpecError
from oakmill.spec import Rvc2Spec
from tests.client.conftest import Shell, Wire, heavy_model
from tests.conversion.makers import conv_model, saved
from tests.crash.conftest import source_file
from tests.hub_servers import PATIENCE, ServedHub

SMALL = Rvc2Spec(blob=True, number_of_shaves=4)


def test_the_whole_way_with_the_connection_cut_once(serving: ServedHub, wire: Wire, shell: Shell) -> None:
    model = heavy_model(shell.folder / "net.onnx")
    said = shell.run("login", f"http://127.0.0.1:{wire.port}", env={"OAKMILL_KEY": serving.key}).stdout
    assert "'first admin' of the team default allows admin" in said
    kept = shell.folder / "config" / "oakmill" / "hubs.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    uploaded = json.loads(shell.run("upload", "net.onnx", "--to", "net:small", "--json").stdout)
    assert wire.cuts == 1
    assert uploaded["address"] == "default/net:small:0.1.0"
    assert uploaded["instance"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert "default/net" in shell.run("models").stdout

    converted = shell.run("convert", "net:small", "--hub", "--to", "rvc2", "--blob", "--shaves", "4")
    for words in ("✓ compile", "✓ verify", "Accuracy passport: ok", "net-small.rvc2.tar.xz"):
        assert words in converted.stderr
    (job,) = json.loads(shell.run("jobs", "list", "--json").stdout)
    assert job["status"] == "succeeded"
    log = shell.run("logs", job["id"], "-f").stdout
    assert [word for word in ("inspect", "compile", "verify") if word not in log] == []

    shell.run("download", "net:small", "--platform", "rvc2", "-o", "got")
    got = shell.folder / "got" / "net-small.rvc2.tar.xz"
    about = json.loads(shell.run("download", "net", "--platform", "rvc2", "-o", "got", "--json").stdout)
    assert hashlib.sha256(got.read_bytes()).hexdigest() == about["instance"]["sha256"]
    assert got.read_bytes() == (shell.folder / "converted" / "net-small.rvc2.tar.xz").read_bytes()
    shell.run("download", "net", "--platform", "rvc2", "-o", "got", "--all")
    signed = shell.run("verify", str(got), "--signature").stdout
    assert signed.startswith(f"signed by http://127.0.0.1:{wire.port}: instance {about['instance']['id']}, made ")


def test_a_file_that_the_hub_has_is_not_sent_again_and_a_result_that_it_has_comes_at_once(
    serving: ServedHub, hub: Hub, shell: Shell
) -> None:
    model = saved(conv_model(opset=12), shell.folder / "twice.onnx")
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    words = ("convert", model.name, "--hub", "--to", "rvc2", "--blob", "--shaves", "4", "--json", "--overwrite")
    first, second = (shell.run(*words, env=there).stdout.splitlines() for _ in range(2))
    assert {"event", "result"} == {name for entry in first for name in json.loads(entry)}
    assert len(second) == 1
    assert json.loads(second[0])["result"]["sha256"] == json.loads(first[-1])["result"]["sha256"]
    (found,) = hub.models.list(slug="twice")
    assert found.versions == 1


def test_images_of_this_machine_go_with_the_conversion(serving: ServedHub, hub: Hub, shell: Shell) -> None:
    from PIL import Image

    saved(conv_model(opset=11), shell.folder / "seen.onnx")
    (shell.folder / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32), (80 * number, 100, 20)).save(shell.folder / "photos" / f"{number}.png")
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    words = ("convert", "seen.onnx", "--hub", "--to", "rvc2", "--blob", "--images", "photos", "--shaves", "4")
    assert "on 3 images" in shell.run(*words, env=there).stderr
    assert [found.count for found in hub.datasets.list() if found.slug.startswith("images-")] == [3]


def test_an_alias_is_set_moved_and_led_back_by_the_command_line(serving: ServedHub, hub: Hub, shell: Shell) -> None:
    model = hub.models.create("pointed")
    for number in ("1.0.0", "1.1.0"):
        hub.models.create_version(model.id, "small", number)
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    shell.run("aliases", "set", "pointed:small:1.0.0", "prod", "--why", "signed off", env=there)
    assert (
        "small@prod points to 1.1.0, before 1.0.0" in shell.run("aliases", "set", "pointed", "prod", env=there).stdout
    )
    assert "points to 1.0.0, before 1.1.0" in shell.run("aliases", "back", "pointed@prod", env=there).stdout
    (row,) = json.loads(shell.run("aliases", "list", "pointed", "--json", env=there).stdout)
    assert (row["name"], row["version"], row["before"]) == ("prod", "1.0.0", "1.1.0")
    assert "signed off" in shell.run("aliases", "history", "default/pointed", env=there).stdout
    shell.run("aliases", "remove", "pointed:small@prod", env=there)
    assert hub.aliases.list(model.id) == [] and len(hub.aliases.history(model.id)) == 4
    assert "names no alias" in shell.run("aliases", "back", "pointed:small", env=there, code=2).stderr


def test_what_is_deleted_is_restored_by_the_command_line(serving: ServedHub, hub: Hub, shell: Shell) -> None:
    saved(conv_model(opset=13), shell.folder / "gone.onnx")
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    shell.run("upload", "gone.onnx", "--to", "gone:small:1.0.0", env=there)
    shell.run("models", "delete", "gone", "--force", env=there)
    (entry,) = json.loads(shell.run("trash", "list", "--json", env=there).stdout)
    assert (entry["kind"], entry["name"]) == ("model", "gone")
    assert entry["id"] in shell.run("trash", "list", env=there).stdout
    hub.models.create("gone")
    assert "by now" in shell.run("trash", "restore", entry["id"], env=there, code=Conflict.exit_code).stderr
    assert "model was is back" in shell.run("trash", "restore", entry["id"], "--name", "was", env=there).stdout
    assert hub.instances.resolve("was:small:1.0.0").status == "available"
    shell.run("models", "delete", "was", "--force", env=there)
    shell.run("trash", "empty", "--all", env=there)
    assert not hub.trash.list()


def test_errors_come_back_by_name(serving: ServedHub, hub: Hub, tmp_path: Path) -> None:
    made = hub.models.create("errors")
    with pytest.raises(Conflict):
        hub.models.create("errors")
    with pytest.raises(SpecError):
        hub.models.create("a/b")
    with pytest.raises(NotFound):
        hub.convert("nothing", SMALL)
    with Hub(serving.url, "oak_wrong") as other, pytest.raises(NoKey):
        other.me()
    with Hub(serving.url, hub.keys.create("reads").key) as other, pytest.raises(Forbidden):
        other.models.delete(made.id)
    (tmp_path / "words.onnx").write_text("no model")
    version = hub.models.create_version(made.id, "default")
    with pytest.raises(NotAModel):
        hub.instances.create(version.id, [tmp_path / "words.onnx"])
    assert list(hub.instances.list(model_id=made.id)) == []
    hub.models.delete(made.id, force=True)


def test_several_platforms_are_several_jobs_and_one_table(serving: ServedHub, hub: Hub, shell: Shell) -> None:
    saved(conv_model(shape=(1, 3, "h", "w"), opset=10), shell.folder / "both.onnx")
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    words = ("convert", "both.onnx", "--hub", "--to", "rvc2,rvc4", "--target-precision", "INT9,FP16", "--json")
    said = [json.loads(line) for line in shell.run(*words, code=4, env=there).stdout.splitlines()]
    rows = said[-1]["matrix"]["rows"]
    assert [(row["platform"], row["precision"], row["exit_code"]) for row in rows] == [
        ("RVC2", "", 4),
        ("RVC4", "INT9", 2),
        ("RVC4", "FP16", 4),
    ]
    (model,) = hub.models.list(slug="both")
    assert model.versions == 1
    assert {job.platform for job in hub.jobs.list(model_id=model.id)} == {"rvc2", "rvc4"}


def test_a_failed_conversion_is_explained_and_ends_with_its_exit_code(serving: ServedHub, shell: Shell) -> None:
    saved(conv_model(shape=(1, 3, "h", "w")), shell.folder / "open.onnx")
    there = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": serving.key}
    said = shell.run("convert", "open.onnx", "--hub", "--to", "rvc2", code=4, env=there).stderr
    assert "--shape" in said
    shell.run("upload", "open.onnx", "--to", "open:default:1.0.0", env=there)
    assert "is not an address" in shell.run("download", "a:b:c:d", code=2, env=there).stderr
    assert "No hub is known" in shell.run("models", code=10).stderr


def test_a_download_never_replaces_another_file(serving: ServedHub, hub: Hub, tmp_path: Path) -> None:
    instance = upload(hub, "kept", saved(conv_model(opset=10), tmp_path / "kept.onnx"))
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "kept.onnx").write_text("mine")
    with pytest.raises(OutputExists):
        hub.instances.download(instance, tmp_path / "got")
    (path,) = hub.instances.download(instance, tmp_path / "got", overwrite=True)
    assert path.read_bytes() == (tmp_path / "kept.onnx").read_bytes()
    assert [item.name for item in path.parent.iterdir()] == ["kept.onnx"]


@pytest.mark.slow  # a job outlives a restart in tests/web/test_whole_way.py too
def test_a_restart_of_the_hub_is_waited_out(serving: ServedHub, hub: Hub, tmp_path: Path) -> None:
    """The whole hub ends in the middle of a job, its worker too; the next one makes it, and each line comes once."""
    source = hub.instances.get(upload(hub, "deep", source_file(tmp_path)))
    job, told, running = hub.convert(source, SMALL), list[Told](), threading.Event()
    done: list[Job] = []

    def watch(item: Told) -> None:
        told.append(item)
        if isinstance(item, Job) and item.progress.get("stage") == "compile":
            running.set()

    waiting = threading.Thread(target=lambda: done.append(hub.jobs.wait(job, watch)))
    waiting.start()
    assert running.wait(PATIENCE)
    serving.end()
    serving.start()
    waiting.join(PATIENCE)
    assert [found.status for found in done] == ["succeeded"]
    numbers = [item.number for item in told if isinstance(item, Line)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert any("another" in item.text for item in told if isinstance(item, Line))
    assert not hub.jobs.cancel(job.id).is_live


def test_a_hub_that_is_gone_is_unreachable() -> None:
    with Hub("http://127.0.0.1:9", "oak_x") as hub, pytest.raises(HubUnreachable, match="does not answer"):
        hub.me()


def test_a_hub_is_backed_up_while_it_runs_and_restored_elsewhere(
    serving: ServedHub, hub: Hub, shell: Shell, tmp_path: Path
) -> None:
    """The restored hub knows the same keys and gives the same bytes."""
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


def upload(hub: Hub, name: str, path: Path) -> str:
    version = hub.models.create_version(hub.models.create(name).id, "default")
    return hub.instances.create(version.id, [path]).id
