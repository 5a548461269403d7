"""How property tests run: pytest's own time limit bounds each test, whatever the machine's load."""

from hypothesis import settings

settings.register_profile("banger", deadline=None)
settings.load_profile("banger")
