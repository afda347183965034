"""How a conversion runs: from a source file and a spec to a verified file. Needs no hub, no database, no service."""
