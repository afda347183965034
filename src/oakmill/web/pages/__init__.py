"""Routes of the pages: each module answers for one kind of page, with a router of its own, `pages`."""
