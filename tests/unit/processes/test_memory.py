"""What a container may use is read where the kernel says it, in both of its ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.errors import LimitExceeded
from oakmill.processes import memory


def machine(root: Path, line: str, files: dict[str, str]) -> Path:
    for place, text in {
        "proc/self/cgroup": line,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    return root


@pytest.mark.parametrize(
    ("line", "files", "found"),
    [
        (
            "0::/user.slice/job\n",
            {"user.slice/job/memory.max": "max\n", "user.slice/memory.max": f"{300 << 20}\n"},
            300,
        ),
        ("0::/\n", {"memory.max": f"{250 << 20}\n"}, 250),
        ("0::/gone/outside\n", {"memory.max": f"{250 << 20}\n"}, 250),
        ("4:memory:/job\n0::/\n", {"memory/job/memory.limit_in_bytes": f"{250 << 20}\n"}, 250),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, line: str, files: dict[str, str], found: int | None) -> None:
    assert memory.limit_mb(machine(tmp_path, line, files)) == found


def test_a_container_that_is_too_small_is_said_at_once(tmp_path: Path) -> None:
    """In a control group of 250 MB a conversion was killed by the kernel without a word, and left its work behind."""
    with pytest.raises(LimitExceeded, match="may use 250 MB") as caught:
        memory.require(machine(tmp_path, "0::/\n", {"memory.max": f"{250 << 20}\n"}))
    assert "--memory" in caught.value.remedy
    memory.require(machine(tmp_path, "0::/\n", {"memory.max": f"{2 << 30}\n"}))
