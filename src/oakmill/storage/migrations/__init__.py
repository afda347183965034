"""The database's migrations, one file for each step; `oakmill.storage.migrate` runs them."""
