"""The smoke suite on Firecracker and real KVM, on any machine: inside an emulated host, L1."""
