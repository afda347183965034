"""Webhooks: what happened is told to addresses of a team, signed, at least once, however processes end meanwhile."""
