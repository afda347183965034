"""A tool's results are its own files: nothing that it names is followed out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.conversion.rvc2.platform import Rvc2, Rvc2Built
from oakmill.errors import ToolKilled, VerificationFailed
from oakmill.processes.sandbox import Isolation
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec
from oakmill.toolchains.rvc2.blob import SHAVES
from tests.attacks.conftest import Attack

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize(
    "program",
    [
        "(job / 'model.superblob').symlink_to('/etc/passwd')",
        "(job / 'model.superblob').symlink_to(job / 'request.json')",
        "(job / 'deep').mkdir(); (job / 'deep' / 'model.bin').symlink_to(outside / 'file')",
        "(job / 'folder').symlink_to('/etc')",
        "os.mkfifo(job / 'model.superblob')",
        "(job / 'a').write_text('x'); os.link(job / 'a', job / 'b')",
    ],
)
def test_a_result_that_is_no_file_of_its_own_is_refused(wall: Isolation, attack: Attack, program: str) -> None:
    """A link in the place of model.superblob was followed, and the file that it led to was published."""
    with pytest.raises(ToolKilled, match=r"which is no plain file of its own; nothing of this run is used"):
        attack(f"{program}; answer(blobs={{}})")


def test_links_among_what_nobody_takes_do_no_harm(wall: Isolation, attack: Attack) -> None:
    """Tools make links to their own input there, and are no attackers."""
    assert attack("(job / 'tmp' / 'model').symlink_to(outside / 'file'); answer(fine=1)") == {"fine": 1}


def test_a_file_outside_gets_no_second_name(wall: Isolation, attack: Attack, outside: Path, tmp_path: Path) -> None:
    found = attack("answer(linked=attempt(lambda: os.link(outside / 'file', job / 'mine')))")
    assert found["linked"] in ("EPERM", "EXDEV", "EACCES", "EROFS")
    assert not (tmp_path / "job" / "mine").exists()


@pytest.mark.parametrize("said", [{}, {4: "4"}, dict.fromkeys(SHAVES, "another")], ids=["none", "one", "others"])
@pytest.mark.parametrize("there", [SHAVES, SHAVES[:-1]], ids=["all", "15"])
def test_a_superblob_gives_back_all_of_its_blobs(said: dict[int, str], there: range) -> None:
    """Only those that the tool named were looked at, and a tool that named none was believed."""
    platform = Rvc2.of(Rvc2Spec(), Settings())
    found = {"blobs": {str(shaves): str(shaves) for shaves in there}}
    with pytest.raises(VerificationFailed, match="does not give back the blob for"):
        platform._check_blobs(Rvc2Built(Path("model.superblob"), {}, said), found)
    whole = Rvc2Built(Path("model.superblob"), {}, {shaves: str(shaves) for shaves in SHAVES})
    if there == SHAVES:
        platform._check_blobs(whole, found)
