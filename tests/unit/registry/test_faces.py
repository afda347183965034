from __future__ import annotations

from sqlalchemy.orm import Session

from oakmill.registry import faces, instances
from oakmill.registry.tables import Model, Role
from tests.unit.registry.conftest import People, a_model, a_version, an_instance


def test_a_model_has_the_face_of_its_best_instance_and_none_when_that_is_gone(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    version = a_version(session, people.mine, model)
    changed = model.updated
    made = {}
    for verdict, digest in (("warning", "a" * 64), ("ok", "b" * 64), ("error", "c" * 64)):
        row = an_instance(session, people.mine, version, "RVC4")
        instances.add_file(session, row, name="m.face.jpg", sha256=digest, size=9, role=Role.FACE)
        instances.set_available(session, row, verdict=verdict)
        changed = model.updated
        faces.choose(session, model.id)
        made[verdict] = row.id
    for verdict, face in (("ok", "b" * 64), ("warning", "a" * 64), ("error", "c" * 64), ("", None)):
        session.expire_all()
        found = session.get_one(Model, model.id)
        assert (found.face, found.updated) == (face, changed)
        assert faces.best_instance(session, model.id) == made.get(verdict)
        if verdict:
            instances.delete(session, people.mine, made[verdict])
