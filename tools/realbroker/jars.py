"""Finds Java and Maven, and fetches the jars of the Pulsar broker that `pom.xml` names.

The jars (about 330 files, 240 MB) go to `build/pulsar-jars/HASH/`, HASH being that of `pom.xml`. Maven fills
a folder of another name beside it, which is renamed only once it is whole and carries a stamp that lists
every jar with its size; so a folder that an interrupted run left behind, or one that lost files, is never
taken for a set.

Run it by itself to fetch ahead of time: `python -m tools.realbroker.jars`.
"""

import collections
import collections.abc
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
POM = Path(__file__).resolve().with_name("pom.xml")
JARS_FOLDER = PROJECT / "build" / "pulsar-jars"
OLDEST_JAVA = 17

_STAMP = "complete.json"
_FETCH_SECONDS = 1200.0
_PROGRESS_SECONDS = 5.0
_APT_JAVA = "sudo apt-get install openjdk-17-jre-headless (Debian 13 and later: openjdk-21-jre-headless)"
_INSTALL_JAVA = f"on Debian or Ubuntu: {_APT_JAVA}; on macOS: brew install openjdk@21"
_INSTALL_MAVEN = "on Debian or Ubuntu: sudo apt-get install maven; on macOS: brew install maven"
# Homebrew links none of its Javas into PATH.
_HOMEBREW_JAVAS = [
    f"{prefix}/opt/{formula}/bin/java"
    for prefix in ("/opt/homebrew", "/usr/local")
    for formula in ("openjdk@21", "openjdk@17", "openjdk")
]


class MissingTool(RuntimeError):
    """A program that the real broker needs is absent here; the text names it and how to install it."""


class FetchError(RuntimeError):
    """Maven could not fetch the jars; the text ends with what Maven said."""


def find_java() -> Path:
    """Return the path of a `java` of version 17 or later: JAVA_HOME's, else the one on PATH, else Homebrew's.

    Raises MissingTool when there is none; its text tells which ones were looked at and why they would not do.
    """
    candidates: list[str] = []
    if os.environ.get("JAVA_HOME"):
        candidates.append(os.path.join(os.environ["JAVA_HOME"], "bin", "java"))
    on_path = shutil.which("java")
    if on_path:
        candidates.append(on_path)
    if sys.platform == "darwin":
        candidates += _HOMEBREW_JAVAS
    refused: list[str] = []
    for candidate in candidates:
        if not os.access(candidate, os.X_OK):
            continue
        version = java_version(candidate)
        if version is not None and version >= OLDEST_JAVA:
            return Path(candidate)
        refused.append(f"{candidate} is " + ("no working Java" if version is None else f"Java {version}"))
    found = "; ".join(refused) if refused else "no `java` on PATH or in JAVA_HOME"
    raise MissingTool(
        f"the real broker needs Java {OLDEST_JAVA} or later ({found}). To install it, {_INSTALL_JAVA}"
    )


def java_version(java: str | Path) -> int | None:
    """Return the version (8, 17, 25, …) that the program `java` says it has, None when it does not run."""
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # `version "17.0.15"`, `version "25"`, and `version "1.8.0_412"` for Java 8 and older.
    quoted = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(quoted[1]) if quoted else None


def find_maven() -> Path:
    """Return the path of `mvn`; raises MissingTool when it is not on PATH."""
    maven = shutil.which("mvn")
    if maven is None:
        needed = "Maven is needed, once, to fetch the real broker's jars (no `mvn` on PATH)"
        raise MissingTool(f"{needed}. To install it, {_INSTALL_MAVEN}")
    return Path(maven)


def classpath() -> str:
    """Return the class path of the broker, as `java -cp` takes it; fetches absent jars first.

    Raises MissingTool (no Java; no Maven, and the jars are absent) and FetchError.
    """
    return str(fetch() / "*")


def jars_folder(pom: Path = POM, folder: Path = JARS_FOLDER) -> Path:
    """Return where the jars that `pom` names belong, whether they are there (see `is_complete`) or not."""
    return folder / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]


def fetch(pom: Path = POM, folder: Path = JARS_FOLDER) -> Path:
    """Return the folder that holds the jars `pom` names, having Maven fill it first if it is not there yet.

    Two processes may call this at once: one fetches, the other waits for it. Raises MissingTool and
    FetchError.
    """
    target = jars_folder(pom, folder)
    if is_complete(target):
        return target
    java, maven = find_java(), find_maven()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(target):
            return target
        for abandoned in folder.glob("partial-*"):
            shutil.rmtree(abandoned)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=folder))
        try:
            _copy_dependencies(maven, java, pom, partial, folder / f"{target.name}.log")
            _write_stamp(partial)
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def is_complete(folder: Path) -> bool:
    """Tell whether `folder` has a stamp, and every jar the stamp lists, at the size it lists."""
    try:
        stamp: dict[str, int] = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    sizes = {jar.name: jar.stat().st_size for jar in folder.glob("*.jar")}
    return bool(sizes) and sizes == stamp


def _write_stamp(folder: Path) -> None:
    sizes = {jar.name: jar.stat().st_size for jar in sorted(folder.glob("*.jar"))}
    if not sizes:
        raise FetchError("Maven reported success but copied no jar; delete build/pulsar-jars and try again")
    (folder / _STAMP).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def _copy_dependencies(maven: Path, java: Path, pom: Path, output: Path, log_path: Path) -> None:
    command = [
        str(maven), "--batch-mode", "--file", str(pom), "dependency:copy-dependencies",
        f"-DoutputDirectory={output}", "-DincludeScope=runtime",
        # A lost connection is tried again; the two names are for Maven 3 and for its newer transport.
        "-Dmaven.wagon.http.retryHandler.count=3", "-Daether.connector.http.retryHandler.count=3",
    ]  # fmt: skip
    environment = dict(os.environ)
    if environment.get("JAVA_HOME") and not java.is_relative_to(environment["JAVA_HOME"]):
        # JAVA_HOME was refused as too old; Maven then finds the Java on PATH by itself.
        del environment["JAVA_HOME"]
    print(f"fetching the Pulsar broker's jars (240 MB, once; log in {log_path})", file=sys.stderr, flush=True)
    started = time.monotonic()
    tail: collections.deque[str] = collections.deque(maxlen=15)
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:  # fmt: skip
        limit = threading.Timer(_FETCH_SECONDS, process.kill)
        limit.start()
        try:
            _follow(process, log_path, tail)
            status = process.wait()
        finally:
            limit.cancel()
            process.kill()
    seconds = time.monotonic() - started
    if status != 0:
        said = "\n".join(tail)
        raise FetchError(
            f"Maven could not fetch the Pulsar broker's jars (exit status {status} after {seconds:.0f} s). "
            "Check that this machine reaches a Maven repository, then try again. "
            f"The whole log is {log_path}; it ends:\n{said}"
        )
    print(f"fetched the Pulsar broker's jars in {seconds:.0f} s", file=sys.stderr, flush=True)


def _follow(process: subprocess.Popen[str], log_path: Path, tail: collections.deque[str]) -> None:
    """Read Maven's output to its end: all of it to the log, counts to stderr, the last lines into `tail`."""
    downloaded = copied = 0
    shown = time.monotonic()
    lines: collections.abc.Iterable[str] = process.stdout or ()
    with open(log_path, "w", encoding="utf-8") as log:
        for line in lines:
            log.write(line)
            if "Downloading from" not in line and "Progress" not in line and line.strip():
                tail.append(line.rstrip())
            downloaded += "Downloaded from" in line
            copied += "Copying " in line
            if time.monotonic() - shown >= _PROGRESS_SECONDS:
                shown = time.monotonic()
                print(f"  {downloaded} files downloaded, {copied} jars copied", file=sys.stderr, flush=True)


def main() -> int:
    """Fetch the jars and print their folder; return the exit status."""
    try:
        print(fetch())
    except (MissingTool, FetchError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
