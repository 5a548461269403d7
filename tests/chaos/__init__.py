"""Seeded faults against the whole system, and what must hold after each of them."""
