"""A model's face in lists: a small image of its best instance at work, chosen whenever its instances change."""

from __future__ import annotations

from sqlalchemy import Select, case, select, update
from sqlalchemy.orm import Session

from oakmill.findings import Severity
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Model, Role


def choose(session: Session, model_id: str) -> None:
    """Give the model the face of its best instance, or none; that is no change of the model's."""
    session.flush()
    best = session.execute(_best(model_id)).first()
    values = {"face": best.sha256 if best else None, "updated": Model.updated}
    session.execute(update(Model).where(Model.id == model_id).values(values))


def best_instance(session: Session, model_id: str) -> str | None:
    """The identifier of the instance whose face the model has."""
    found = session.execute(_best(model_id)).first()
    return str(found.id) if found else None


def _best(model_id: str) -> Select[str, str]:
    """The best verdict counts, then the latest."""
    ranks = {severity.value: severity.rank for severity in Severity}
    return (
        select(Instance.id, InstanceFile.sha256)
        .join(InstanceFile, InstanceFile.instance_id == Instance.id)
        .where(
            Instance.model_id == model_id,
            Instance.status == InstanceStatus.AVAILABLE,
            Instance.trash_id.is_(None),
            InstanceFile.role == Role.FACE,
        )
        .order_by(case(ranks, value=Instance.verdict, else_=len(ranks)), Instance.created.desc(), Instance.id)
        .limit(1)
    )
