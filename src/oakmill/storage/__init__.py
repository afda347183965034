"""Where bytes live: the database, the blobs, and uploads on their way in."""
