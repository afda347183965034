from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound, SpecError
from oakmill.registry import resolve
from oakmill.registry.callers import LOCAL
from tests.unit.registry.conftest import People, a_model, a_version, an_instance


def test_what_an_address_leaves_out_means_the_latest(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    old = a_version(session, people.mine, model, "small", "0.9.0")
    new = a_version(session, people.mine, model, "small", "0.10.0")
    a_version(session, people.mine, model, "small", "0.11.0")  # has no instance
    big = a_version(session, people.mine, model, "big", "0.2.0")
    source = an_instance(session, people.mine, old, digest="a1" * 32)
    first = an_instance(session, people.mine, new, "RVC2", source, "b2" * 32)
    latest = an_instance(session, people.mine, new, "RVC2", source, "c3" * 32)
    other = an_instance(session, people.mine, big, "RVC4", source, "d4" * 32)
    failed = an_instance(session, people.mine, new, "RVC2", source, "e5" * 32)
    failed.status = "failed"
    session.flush()
    expected = {
        "my-net": latest,
        "ours/my-net": latest,
        "my-net:small": latest,
        "my-net:big": other,
        "my-net:small:0.9.0": source,
        "my-net:small:v0.10": latest,
        "my-net:small:b2b2b2b": first,
        model.id: latest,
    }
    for address, instance in expected.items():
        found = resolve.resolve(session, people.reader, address)
        assert found.id == instance.id, address
        assert found.files
    assert resolve.resolve(session, people.reader, "my-net", "RVC4").id == other.id
    assert resolve.version(session, people.reader, "my-net").version == "0.11.0"
    for address in ("my-net:small:e5e5e5e", "my-net:huge", "my-net:small:3.0.0", "theirs/my-net", "nothing"):
        with pytest.raises(NotFound):
            resolve.resolve(session, people.reader, address)
    with pytest.raises(NotFound):
        resolve.resolve(session, people.stranger, "ours/my-net")
    with pytest.raises(SpecError):
        resolve.resolve(session, people.reader, "my-net:small:newest")


def test_ones_own_model_goes_before_others_and_others_of_one_name_are_told(session: Session, people: People) -> None:
    mine, theirs = (a_model(session, caller, visibility="public") for caller in (people.mine, people.stranger))
    assert resolve.model(session, people.mine, "my-net").id == mine.id
    assert resolve.model(session, people.mine, "theirs/my-net").id == theirs.id
    with pytest.raises(Conflict, match="ours/my-net, theirs/my-net"):
        resolve.model(session, LOCAL, "my-net")


def test_a_name_that_clients_take_for_an_identifier_is_found(session: Session, people: People) -> None:
    model = a_model(session, people.mine, "ai_detector")
    assert resolve.model(session, people.mine, "ai_detector").id == model.id
    assert resolve.model(session, people.mine, "m-ai_detector").team.slug == "ours"


def test_digits_alone_may_be_a_version_or_a_hash(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    source = an_instance(
        session, people.mine, a_version(session, people.mine, model, "v", "2024"), digest="1234567" + "a" * 57
    )
    assert resolve.resolve(session, people.mine, "my-net:v:2024").id == source.id
    assert resolve.resolve(session, people.mine, "my-net:v:1234567").id == source.id
