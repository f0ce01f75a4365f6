from __future__ import annotations

import threading
from pathlib import Path

from crproxy.forward.authorities import Authorities
from crproxy.forward.authority import AUTHORITY_SECONDS, Authority
from crproxy.policy.authorities import OVERLAP_SECONDS
from tests.logs import Log

NAMES = frozenset({"ghcr.io"})
WIDER = frozenset({"ghcr.io", "quay.io"})
NOW = 1_800_000_000.0


class World:
    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.directory = directory / "proxy-ca"
        self.authorities = self.another()

    def another(self) -> Authorities:
        return Authorities(self.directory, lambda: self.now)

    @property
    def files(self) -> list[Path]:
        return sorted(self.directory.glob("*.pem"))


def test_the_first_is_made_for_the_daemon_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    (file,) = world.files
    assert (world.directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    (authority,) = world.authorities.trusted
    assert authority.names == NAMES
    assert world.authorities.signer_for("ghcr.io") is authority
    assert world.authorities.signer_for("quay.io") is None


def test_another_worker_reads_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    other = world.another()
    other.refresh(NAMES)
    assert [one.fingerprint for one in other.trusted] == [one.fingerprint for one in world.authorities.trusted]
    assert len(world.files) == 1


def test_workers_that_start_together_make_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    workers = [world.another() for _ in range(8)]
    threads = [threading.Thread(target=worker.refresh, args=(NAMES,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.files) == 1
    assert len({worker.trusted[0].fingerprint for worker in workers}) == 1


def test_a_new_one_is_made_in_time_and_signs_later(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    (old,) = world.authorities.trusted
    world.now += AUTHORITY_SECONDS - OVERLAP_SECONDS + 1
    world.authorities.refresh(NAMES)
    _, new = world.authorities.trusted
    assert world.authorities.signer_for("ghcr.io") is old or world.authorities.trusted[0].fingerprint == old.fingerprint
    signer = world.authorities.signer_for("ghcr.io")
    assert signer is not None
    assert signer.fingerprint == old.fingerprint
    world.now += OVERLAP_SECONDS
    signer = world.authorities.signer_for("ghcr.io")
    assert signer is new
    assert [one.fingerprint for one in world.authorities.trusted] == [new.fingerprint]


def test_other_names_have_another_one_made(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    world.now += 10
    world.authorities.refresh(WIDER)
    world.authorities.refresh(WIDER)
    first, second = world.authorities.trusted
    assert (first.names, second.names) == (NAMES, WIDER)
    assert world.authorities.signer_for("quay.io") is second


def test_one_can_be_had_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    world.now += 10
    made = world.authorities.renew(NAMES, at_once=False)
    assert made.fingerprint == world.authorities.trusted[1].fingerprint
    assert len(world.files) == 2


def test_where_the_key_was_seen_the_old_one_is_removed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    other = world.another()
    other.read()
    # Within the same second as well.
    made = world.authorities.renew(NAMES, at_once=True)
    other.read()
    for authorities in (world.authorities, other):
        assert [one.fingerprint for one in authorities.trusted] == [made.fingerprint]
    assert len(world.files) == 1


def test_the_old_one_is_removed_whatever_its_files_are_called(tmp_path: Path) -> None:
    """One that was put back from a copy, and a copy beside it."""
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    (file,) = world.files
    (world.directory / "copy.pem").write_bytes(file.read_bytes())
    file.rename(world.directory / "backup.pem")
    new = world.authorities.renew(NAMES, at_once=True)
    assert [one.fingerprint for one in world.authorities.trusted] == [new.fingerprint]
    (left,) = world.files
    assert Authority.from_pem(left.read_bytes()).fingerprint == new.fingerprint


def test_what_is_read_again_goes_on_being_shown(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    before = world.authorities.signer_for("ghcr.io")
    world.authorities.refresh(NAMES)
    assert world.authorities.signer_for("ghcr.io") is before


def test_a_file_that_is_none_is_left_aside(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.directory.mkdir()
    (world.directory / "odd.pem").write_text("junk")
    (world.directory / "half.new").write_bytes(Authority.new(NAMES, NOW).to_pem()[:100])
    with Log() as log:
        world.authorities.refresh(NAMES)
    assert len(world.authorities.trusted) == 1
    assert any("is left aside" in line for line in log.lines)


def test_without_names_none_is_made(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.authorities.refresh(frozenset())
    assert world.files == []


def test_the_oldest_is_known_where_several_were_made_within_a_second(tmp_path: Path) -> None:
    """A certificate has whole seconds (RFC 5280, 4.1.2.5.2), and by these it is told which was first."""
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    made = [
        world.authorities.trusted[0],
        world.authorities.renew(NAMES, at_once=False),
        world.authorities.renew(NAMES, at_once=False),
    ]
    for worker in (world.authorities, world.another()):
        worker.refresh(NAMES)
        assert [one.fingerprint for one in worker.trusted] == [one.fingerprint for one in made]
        signer = worker.signer_for("ghcr.io")
        assert signer is not None
        assert signer.fingerprint == made[0].fingerprint


def test_what_another_worker_has_made_within_the_second_is_known_as_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.another()
    made = [each.renew(NAMES, at_once=False).fingerprint for each in (world.authorities, other, world.authorities)]
    other.refresh(NAMES)
    assert [one.fingerprint for one in other.trusted] == made


def test_one_from_a_clock_that_was_wrong_does_not_put_off_the_next(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.now += 86400
    world.authorities.refresh(NAMES)
    world.now = NOW
    world.authorities.refresh(NAMES)
    (counting,) = world.authorities.trusted
    assert counting.not_before < NOW


def test_while_the_clock_is_set_back_another_one_signs_and_no_longer(tmp_path: Path) -> None:
    """Clients trust the one from before."""
    world = World(tmp_path)
    world.authorities.refresh(NAMES)
    (trusted,) = world.authorities.trusted
    world.now -= 30 * 86400
    for _ in range(3):
        world.authorities.refresh(NAMES)
    (meanwhile,) = world.authorities.trusted
    assert meanwhile.not_after <= trusted.not_before
    assert len(world.files) == 2
    world.now = NOW + 60
    for _ in range(3):
        world.authorities.refresh(NAMES)
    assert world.authorities.signer_for("ghcr.io") is trusted
    assert world.authorities.trusted == [trusted]
    assert len(world.files) == 2
