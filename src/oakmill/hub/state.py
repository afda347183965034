"""What a process of the hub holds: its settings, database, store, uploads, isolated workers, notifier and secret."""

from __future__ import annotations

import asyncio
import threading

from oakmill.conversion.cache import identity
from oakmill.files import private_folder
from oakmill.hub.later import Later
from oakmill.hub.links import read_secret
from oakmill.hub.oidc.provider import Provider
from oakmill.hub.rates import Rates, limit_of
from oakmill.jobs.housekeeping import Housekeeper
from oakmill.jobs.notify import Notifier
from oakmill.jobs.webhooks.deliverer import Deliverer
from oakmill.registry.tries import Tries
from oakmill.settings import Settings
from oakmill.storage import migrate
from oakmill.storage.database import Database
from oakmill.storage.manifest import SECRET
from oakmill.storage.stores import open_store
from oakmill.storage.uploads import Uploads
from oakmill.untrusted.ask import IsolatedWorkers

TRANSACTIONS = 32
"""Requests that may hold a connection to the database at once; PostgreSQL has 100 for all."""


class Hub:
    """One process's hold on the hub. `ending` is set when the process is asked to end, so that streams end too."""

    def __init__(self, settings: Settings) -> None:
        private_folder(settings.hub)
        self.settings = settings
        self.db = Database.of(settings)
        self.blobs = open_store(settings)
        self.uploads = Uploads(self.db, self.blobs, settings)
        self.notifier = Notifier.of(settings, self.db)
        self.isolated = IsolatedWorkers(settings)
        self.housekeeper = Housekeeper(settings, self.db, self.blobs, self.uploads)
        self.deliverer = Deliverer(settings, self.db)
        self.secret = read_secret(settings.hub / SECRET)
        self.provider = Provider.of(settings)
        self.ci = {issuer: Provider(issuer) for issuer in {item.issuer_address for item in settings.ci_repositories}}
        self.later = Later(self.db)
        self.tries = Tries()
        self.rates = Rates(limit_of(settings))
        self.ending = threading.Event()
        self.transactions = asyncio.Semaphore(TRANSACTIONS)

    @classmethod
    def open(cls, settings: Settings) -> Hub:
        """The hub, with its database brought up to date where it is not.

        Raises:
            Unavailable: the database was written by a newer Oakmill.
            StoreUnreachable: the store's address or its options make no sense.
        """
        hub = cls(settings)
        if not migrate.is_current(hub.db):
            migrate.upgrade(hub.db)
        return hub

    def warm(self) -> None:
        """Do before anybody waits what else the first upload and the first conversion would wait for."""
        self.isolated.warm()
        identity.maker()

    def close(self) -> None:
        """Finish what is being written, and let go of everything."""
        self.ending.set()
        self.deliverer.close()
        self.housekeeper.close()
        self.uploads.close()
        self.isolated.close()
        self.later.close()
        self.notifier.close()
        self.db.close()
