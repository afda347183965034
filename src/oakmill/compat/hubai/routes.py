"""All of HubAI's API that its clients call."""

from __future__ import annotations

from oakmill.compat.hubai import exports, instances, jobs, models, slugs, storage, versions
from oakmill.compat.wire import router as _router

router = _router()
for part in (slugs, models, versions, instances, exports, jobs, storage):
    router.include_router(part.routes)
