"""A package, so that no installed library that ships a `tests` of its own stands in its place."""
