"""Models of HubAI, by its own SDK."""
