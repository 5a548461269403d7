"""Stand-ins for QEMU and ssh, so that the real services run in milliseconds without a guest.

``qemu`` takes QEMU's command line and passes the driver's contract test beside it; ``shelf`` has an
image and a kernel of a few bytes; ``ssh`` runs the guest's commands on this machine. They are
programs: what a test wants of them it writes into a script (``script``) or types on the console.
"""
