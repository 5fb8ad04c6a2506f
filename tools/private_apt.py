"""Debian's packages without root: an apt whose every file stands in one folder, beside the machine's own.

The mirror is the one the machine itself uses, every signature is checked with Debian's keyring, and packages of any
release can be fetched and unpacked; nothing is installed and nothing of the machine is changed.
"""
from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Debian architectures by bits, for each kind of processor that can run both.
_ARCHITECTURES = {
    "x86_64": {64: "amd64", 32: "i386"},
    "aarch64": {64: "arm64", 32: "armhf"},
}
_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/etc/apt/trusted.gpg.d/debian-archive-keyring.gpg",
)
_OTHER_SUITES = re.compile(r"security|updates|backports|proposed|debug|volatile")
_UPDATE_SECONDS = 180
_DOWNLOAD_SECONDS = 300


class Unavailable(Exception):
    """What was wanted cannot be had here; the text says why and what would help."""


@dataclass(frozen=True)
class Archive:
    """A mirror of Debian's main archive and the keyring that its signatures are checked with."""

    address: str
    keyring: str


def architecture(bits: int) -> str:
    """Debian's name of this machine's architecture with words of `bits` bits (32 or 64); raises Unavailable."""
    if platform.system() != "Linux":
        raise Unavailable(f"Debian's packages run on Linux, and this is {platform.system()}")
    try:
        return _ARCHITECTURES[platform.machine()][bits]
    except KeyError:
        raise Unavailable(f"no {bits}-bit packages of Debian run on {platform.machine()}") from None


def find_archive() -> Archive:
    """The mirror of Debian's main archive that this machine uses; raises Unavailable."""
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise Unavailable(f"this machine has no {tool} (it is no Debian), so Debian's packages are out of reach")
    keyring = next((path for path in _KEYRINGS if os.path.isfile(path)), None)
    if not keyring:
        raise Unavailable("Debian's keyring is missing: apt-get install debian-archive-keyring")
    address = os.environ.get("DEBIAN_MIRROR") or next(_listed_archives(), None) or next(_source_archives(), None)
    if not address:
        raise Unavailable("apt's sources name no main archive of Debian; "
                          "set DEBIAN_MIRROR to the address of one to use it all the same")
    return Archive(address, keyring)


def _listed_archives() -> Iterator[str]:
    """Addresses of Debian's main archive among the package lists apt holds."""
    for target in run(["apt-get", "indextargets"], 60).split("\n\n"):
        fields = _pairs(target, ": ")
        if (fields.get("Origin") == "Debian" and fields.get("Component") == "main"
                and fields.get("Created-By") == "Packages" and not _OTHER_SUITES.search(fields.get("Release", ""))):
            yield fields["Repo-URI"]


def _source_archives() -> Iterator[str]:
    """The same from apt's sources, for a machine whose package lists were never fetched, or deleted."""
    release = Path("/etc/os-release")
    if not release.is_file() or _pairs(release.read_text(), "=").get("ID", "").strip('"') != "debian":
        return
    for line in run(["apt-get", "update", "--print-uris", "-o", "Debug::NoLocking=true"], 60).splitlines():
        found = re.match(r"'(.+/)dists/([^']+)/InRelease'", line)
        if found and not _OTHER_SUITES.search(found[1]) and not _OTHER_SUITES.search(found[2]):
            yield found[1]


def _pairs(text: str, separator: str) -> dict[str, str]:
    """The lines `name separator value` of a text."""
    return {name: value for name, _, value in (line.partition(separator) for line in text.splitlines())}


class PrivateApt:
    """An apt whose every file stands in one folder."""

    def __init__(self, folder: Path, name: str, archive: Archive) -> None:
        """folder: a new one, for its state and what it fetches. name: Debian's of the architecture."""
        self.folder, self.name, self.archive = folder, name, archive
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        # How the machine reaches its mirror (proxies, certificates) is kept; its hooks and own sources are not.
        transport = run(["apt-config", "dump", "Acquire"], 30)
        (folder / "apt.conf").write_text(transport + f"""
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
APT::Architecture "{name}";
APT::Architectures {{ "{name}"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Debug::NoLocking "true";
""")

    def update(self, suite: str, sources: bool = False) -> None:
        """Fetch the package lists of `suite`, with `sources` those of source packages too.

        Every error, one in a signature too, raises Unavailable.
        """
        lines = [f"{kind} [signed-by={self.archive.keyring}] {self.archive.address} {suite} main\n"
                 for kind in (("deb", "deb-src") if sources else ("deb",))]
        (self.folder / "sources.list").write_text("".join(lines))
        self._apt(["update", "-q", "--error-on=any"], _UPDATE_SECONDS)

    def download(self, package: str) -> list[Path]:
        """Fetch `package` and all that it depends on; return the files."""
        self._apt(["install", "-q", "--yes", "--download-only", package], _DOWNLOAD_SECONDS)
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def download_alone(self, packages: Iterable[str], target: Path) -> list[Path]:
        """Fetch the packages without what they depend on into `target`; return the files there."""
        self._apt(["download", "-q", *packages], _DOWNLOAD_SECONDS, target)
        return sorted(target.glob("*.deb"))

    def download_sources(self, packages: Iterable[str], target: Path) -> list[Path]:
        """Fetch the source packages into `target`; return their descriptions (.dsc) there."""
        self._apt(["source", "-q", "--download-only", *packages], _DOWNLOAD_SECONDS, target)
        return sorted(target.glob("*.dsc"))

    def _apt(self, words: list[str], seconds: float, folder: Path | None = None) -> None:
        run(["apt-get", *words], seconds, {"APT_CONFIG": str(self.folder / "apt.conf"),
                                           "DEBIAN_FRONTEND": "noninteractive"}, folder)


def run(words: list[str], seconds: float, environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a command, in `folder`, and return its output; raises Unavailable with the error it named first."""
    variables = {**os.environ, "LC_ALL": "C", **(environment or {})}
    try:
        done = subprocess.run(words, env=variables, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=seconds, cwd=folder)
    except FileNotFoundError:
        raise Unavailable(f"{words[0]} is missing") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(words[:2])}` was stopped after {seconds:.0f} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "W: GPG"))]
        raise Unavailable(f"`{' '.join(words[:2])}` failed: " + " ".join((errors or said[-1:])[:1])[:200])
    return done.stdout
