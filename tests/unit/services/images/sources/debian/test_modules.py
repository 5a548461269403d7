from services.images.sources.debian.modules import (
    BOOT_MODULES,
    initrd_part,
    load_order,
    module_name,
)

MODULES_DEP = """\
kernel/fs/overlayfs/overlay.ko:
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/net/core/failover.ko:
kernel/drivers/char/hw_random/virtio-rng.ko.xz:
kernel/sound/soundcore.ko:
"""


def test_each_module_comes_after_all_it_needs_and_only_once() -> None:
    assert load_order(MODULES_DEP, ["virtio_net", "net_failover"]) == [
        "kernel/net/core/failover.ko",
        "kernel/drivers/net/net_failover.ko",
        "kernel/drivers/net/virtio_net.ko",
    ]


def test_built_in_and_absent_modules_are_left_out_and_unneeded_ones_too() -> None:
    order = load_order(MODULES_DEP, BOOT_MODULES)
    assert {module_name(path) for path in order} == {
        "failover",
        "net_failover",
        "virtio_net",
        "virtio_rng",
        "overlay",
    }


def test_a_name_is_the_kernels_own_whatever_the_file_is_called() -> None:
    assert module_name("kernel/drivers/char/hw_random/virtio-rng.ko.xz") == "virtio_rng"


def test_the_initrd_part_lists_its_modules_in_order() -> None:
    order = ["a/second-last.ko.xz", "b/last.ko"]
    part = initrd_part(order, {"a/second-last.ko.xz": b"ELF-1", "b/last.ko": b"ELF-2"})
    assert b"second_last.ko\nlast.ko\n" in part
    names = (b"modules\0", b"modules/second_last.ko\0", b"modules/last.ko\0", b"modules/load\0")
    places = [part.index(name) for name in names]
    assert places == sorted(places)
    assert part.index(b"ELF-1") < part.index(b"ELF-2")
