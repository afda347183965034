"""What exists: teams, keys, models, variants, versions, instances and their files."""
