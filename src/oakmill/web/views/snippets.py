"""The few lines of Python with which a converted model runs on a camera."""

from __future__ import annotations

from dataclasses import dataclass

from oakmill.hub.files import base_url
from oakmill.registry.tables import Instance, Model
from oakmill.web.page_context import PageContext

_NODE = """\
with dai.Pipeline() as pipeline:
    camera = pipeline.create(dai.node.Camera).build()
    network = pipeline.create(dai.node.NeuralNetwork).build(camera, archive)
    results = network.out.createOutputQueue()
    pipeline.start()
    while pipeline.isRunning():
        print(results.get().getAllLayerNames())
"""


@dataclass(frozen=True)
class Snippet:
    """The same network from a file, and from the hub by its name."""

    file: str
    zoo: str
    address: str


def of(context: PageContext, *, model: Model, instance: Instance, file: str) -> Snippet:
    """Both ways; the file is an archive, or a blob that stands alone."""
    address = f"{model.team.slug}/{model.slug}:{_variant(instance)}:{(instance.sha256 or '')[:7]}"
    hub = f"{base_url(context.at, context.request)}/models/api/v1"
    said = f'model="{address}", platform="{instance.model_type}"'
    zoo = (
        "import depthai as dai\n\n"
        f'dai.modelzoo.setHealthEndpoint("{hub}/health/")\n'
        f'dai.modelzoo.setDownloadEndpoint("{hub}/models/download")\n'
        f"description = dai.NNModelDescription({said})\n"
        f"archive = dai.NNArchive(dai.getModelFromZoo(description))\n\n"
    )
    if not instance.is_nn_archive:
        bare = f'network = pipeline.create(dai.node.NeuralNetwork)\nnetwork.setBlobPath("{file}")\n'
        return Snippet(f"import depthai as dai\n\npipeline = dai.Pipeline()\n{bare}", zoo + _NODE, address)
    return Snippet(f'import depthai as dai\n\narchive = dai.NNArchive("{file}")\n\n{_NODE}', zoo + _NODE, address)


def _variant(instance: Instance) -> str:
    """The variant's slug stands at the beginning of the instance's."""
    return instance.slug.rpartition(f"-{instance.model_type.lower()}-")[0]
