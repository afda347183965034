"""Steps that only add: tables, indexes, and columns that may be empty or have a default in the database."""
