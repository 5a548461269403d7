"""The ``banger`` command. It imports only ``shared``; services are asked over the bus.

``app`` is the root of the commands. ``commands`` and ``doctor`` hold them; they stand on ``client``
(the services), ``guest`` (sessions in a VM), ``parsing`` (the command line) and ``terminal`` (what
is printed). tests/unit/test_rooms.py holds who may import whom.
"""
