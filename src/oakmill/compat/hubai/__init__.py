"""HubAI's API, as its unmodified Python client (hubai-sdk) and command line call it."""
