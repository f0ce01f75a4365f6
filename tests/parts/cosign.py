"""cosign, which signs images: by keys, in both of its formats, and without any log: nothing leaves the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .program import Program
from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Cosign", "Pair"]

_NO_LOG = ("--tlog-upload=false", "--use-signing-config=false", "--yes", "--allow-http-registry")
_SIGNS_IN = {"former": "--new-bundle-format=false", "bundle": "--new-bundle-format=true"}


class Pair:
    """A pair of keys: cosign's own file of the private one, and the public one as text.

    Arguments:
        name: of the files, without their endings.
    """

    def __init__(self, name: Path) -> None:
        self.private = name.with_suffix(".key")
        self.public_file = name.with_suffix(".pub")
        self.public = self.public_file.read_text()


class Cosign:
    """cosign, with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = Program([need("cosign")], directory, COSIGN_PASSWORD="")

    def pair(self, name: str, private: bytes | None = None) -> Pair:
        """Make a pair of keys; or make one of a private key in PEM."""
        prefix = self._directory / name
        if private is None:
            self._program.run("generate-key-pair", f"--output-key-prefix={prefix}")
        else:
            file = prefix.with_suffix(".pem")
            file.write_bytes(private)
            self._program.run("import-key-pair", f"--key={file}", f"--output-key-prefix={prefix}", "--yes")
        return Pair(prefix)

    def sign(self, pair: Pair, image: str, form: str, *options: str) -> None:
        """Sign an image, named by its digest.

        Arguments:
            form: "former" or "bundle".
        """
        self._program.run("sign", f"--key={pair.private}", *_NO_LOG, _SIGNS_IN[form], *options, image)

    def attest(self, pair: Pair, image: str, predicate: bytes, kind: str) -> None:
        """State something else about an image, in a bundle."""
        file = self._directory / "predicate.json"
        file.write_bytes(predicate)
        what = (f"--predicate={file}", f"--type={kind}")
        self._program.run("attest", f"--key={pair.private}", *_NO_LOG, _SIGNS_IN["bundle"], *what, image)

    def verify(self, image: str, form: str, *options: str) -> None:
        """Raise Failed where cosign does not find what it is told to look for."""
        self._program.run("verify", "--allow-http-registry", _SIGNS_IN[form], *options, image)
