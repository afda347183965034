"""What a page shows: rows, documents and reports of the registry, made ready for its template."""
