from __future__ import annotations

from pathlib import Path

import pytest

from crproxy.admin.doctor.filesystem import file_system, mounted_at

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /var rw - xfs /dev/sdb1 rw
24 23 0:6 / /var/lib/my\\040data ro,relatime - ext4 /dev/sdc1 rw
25 22 0:7 / /over rw - tmpfs one rw
26 22 0:8 / /over rw - tmpfs another rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc", "/dev/sda1 at /, ext4"),
        ("/var", "/dev/sdb1 at /var, xfs"),
        ("/various", "/dev/sda1 at /, ext4"),
        ("/var/lib/my data/cache", "/dev/sdc1 at /var/lib/my data, ext4"),
        ("/over/x", "another at /over, tmpfs"),
    ],
)
def test_the_nearest_mount_is_the_one_that_counts(path: str, told: str) -> None:
    assert mounted_at(MOUNTS, path) == told


def test_without_a_table_nothing_is_said() -> None:
    assert mounted_at("", "/etc") == ""


def test_a_directory_of_this_machine(tmp_path: Path) -> None:
    disk = file_system(tmp_path)
    assert not disk.read_only
    assert disk.free > 0
    assert " at /" in disk.mount
    with pytest.raises(FileNotFoundError):
        file_system(tmp_path / "nothing")
