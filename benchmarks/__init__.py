"""One module for each benchmark, with a function ``figures(*, smoke: bool) -> list[Figure]``.

Every module here but ``__main__`` is a benchmark; what they share is in ``harness``. With
``smoke`` a benchmark makes one pass that is as short as possible: its figures mean nothing then,
but every line has run.
"""
