"""The ``banger`` command: one module per noun. Imports only ``shared``; services are asked over
the bus."""
