"""The database's migrations, one file for each step, in one order; `oakmill.storage.migrate` runs them.

Steps are of two kinds, because workers go on with the code that they have while a hub is upgraded: those in `before`
only add, so that the code before them goes on; those in `after` remove what no code has used since the release that
their `unused_since` names, and are part of a later release at the earliest.
"""
