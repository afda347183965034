"""The hub's own HTTP: plain resources under /api/v1, described by OpenAPI."""
