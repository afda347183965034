from __future__ import annotations

from oakmill.conversion.output.compare import Row
from oakmill.web.pages.compare import Section


def test_rows_of_one_side_are_told_apart() -> None:
    section = Section("", (Row("", "a", "1", "2.5"), Row("", "b", "x", "-"), Row("", "c", "same", "same")))
    assert [row.change for row in section.different] == ["+1.5"]
    assert [row.what for row in section.single] == ["b"]
    assert [row.what for row in section.equal] == ["c"]
