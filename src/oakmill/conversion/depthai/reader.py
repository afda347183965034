"""Reads converted files with depthai, the vendor's own reader; run as a process of its own.

It loads depthai, then reads a line of JSON from stdin: the file for its answer, and the files to read. The answer is a
list, one entry for each. depthai is C++, takes a second to load and writes to stdout, so it stays out of Oakmill's own
process. Where stdin ends, so does it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from oakmill.toolchains.rvc2.blob import read_superblob


def read(path: Path) -> dict[str, Any]:
    """What depthai finds in a .superblob, a .blob or an NN Archive that holds one of them.

    Returns the kind; of an archive without a blob the platforms and the image's width and height. Of a blob (of a
    superblob the one for 8 SHAVEs) its inputs and outputs (name, dims fastest first, dtype, order) and its stages; and
    by number of SHAVEs the sha256 of each blob that depthai gives out.
    """
    import depthai as dai

    if path.suffix == ".superblob":
        return {"kind": "superblob", **_superblob(dai, path)}
    if path.suffix == ".blob":
        return {"kind": "blob", **_blob(dai.OpenVINO.Blob(path)), "blobs": {}}
    archive = dai.NNArchive(path)
    kind = archive.getModelType().name.lower()
    superblob = archive.getSuperBlob()
    blob = superblob.getBlobWithNumShaves(8) if superblob else archive.getBlob()
    platforms = [platform.name for platform in archive.getSupportedPlatforms()]
    if blob is None:  # what depthai passes on to the device unread, such as a DLC
        return {"kind": kind, "platforms": platforms, "size": list(archive.getInputSize() or ())}
    return {"kind": kind, "platforms": platforms, **_blob(blob), "blobs": {}}


def _superblob(dai: Any, path: Path) -> dict[str, Any]:
    """depthai's 16 blobs, each compared with what bsdiff4, the format's own library, makes of the same patch.

    The bytes cannot be taken out of depthai in less than seconds, but two of its byte vectors compare at once; so
    each blob goes through a file, and the digest is of the file that was found equal.
    """
    import bsdiff4

    superblob = dai.OpenVINO.SuperBlob(str(path))
    base, patches = read_superblob(path)
    digests, file = {}, path.with_name("again.blob")
    for shaves, patch in enumerate(patches, 1):
        data = bsdiff4.patch(base, patch) if patch else base
        file.write_bytes(data)
        given = superblob.getBlobWithNumShaves(shaves)
        same = given.numShaves == shaves and given.data == dai.OpenVINO.Blob(file).data
        digests[shaves] = hashlib.sha256(data).hexdigest() if same else "differs"
    file.unlink()
    return {**_blob(superblob.getBlobWithNumShaves(8)), "blobs": digests}


def _blob(blob: Any) -> dict[str, Any]:
    return {
        "inputs": [_tensor(name, info) for name, info in blob.networkInputs.items()],
        "outputs": [_tensor(name, info) for name, info in blob.networkOutputs.items()],
        "stages": blob.stageCount,
        "shaves": blob.numShaves,
        "device": blob.device.name,
    }


def _tensor(name: str, info: Any) -> dict[str, Any]:
    return {"name": name, "dims": list(info.dims), "dtype": info.dataType.name, "order": info.order.name}


def main() -> None:
    """Load what reading takes, wait for the files, and answer."""
    import bsdiff4  # noqa: F401 - loaded while nobody waits
    import depthai  # noqa: F401

    if line := sys.stdin.readline():
        answer, *files = json.loads(line)
        Path(answer).write_text(json.dumps([read(Path(file)) for file in files]))


if __name__ == "__main__":
    main()
