"""The privileged host service: bridge, taps, nftables rules and jails.

Rooms, from the bottom up; each imports only from those before it:

- ``ruleset``: the rules as text, and what other firewalls do. Pure.
- ``plan``: which network the VMs' rows ask for, and the steps to it. Pure.
- ``kernel``: observes the host and takes the steps, by netlink, nft and /proc (``network.py``).
- ``jail``, ``deployment``: Firecracker's jails, and the user that is served. They need no room.
- ``reconciler``: decides when the network is brought into line; ``service``: the verbs.
"""
