"""Others' HTTP: what Luxonis' own clients call, translated to the hub's; nothing is decided here."""
