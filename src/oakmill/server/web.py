"""The process that answers HTTP, on a socket that its parent holds: `python -m oakmill.server.web SOCKET READY`."""

from __future__ import annotations

import sys

from oakmill.processes.loading import loading


def main() -> None:
    """Load the hub, and answer until asked to end."""
    with loading():
        from oakmill.server import answering

        server = answering.made(int(sys.argv[2]))
    answering.answer(server, int(sys.argv[1]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # uvicorn raises the signal again that it ended by
        sys.exit(0)
