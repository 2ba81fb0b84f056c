"""What does a fresh clone need before it can run?

Builds `.venv` from the hash-checked requirements.lock with nothing but Python's standard library,
then installs the workspace's members so that edits count at once. A stamp makes the second call
a matter of milliseconds. The file is kept readable for Python 3.6, so that an old Python gets a
sentence and not a syntax error.
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOCK_FILE = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, ".installed")
#: Exists while files are unpacked. Found at the start, it tells of an interruption.
UNFINISHED = os.path.join(VENV, ".unfinished")
TURN = os.path.join(VENV, ".turn")
OLDEST = (3, 11)
LEAST_FREE_MB = 600
#: Without pip's cache: nothing outside this folder is touched.
PIP_QUIET = (
    "--no-input",
    "--no-cache-dir",
    "--disable-pip-version-check",
    "--progress-bar",
    "off",
)


class Problem(Exception):
    """The clone cannot be set up; the message says why and what to do."""


def main(arguments: "list[str]") -> int:
    """Build what is missing. `--exactly` insists on the Python that runs this file."""
    is_exact = "--exactly" in arguments
    if _is_ready(is_exact):
        return 0
    try:
        _check_python()
        with _whole_turn():
            if not _is_ready(is_exact):
                _build(is_exact)
    except Problem as problem:
        return _complain(str(problem))
    except OSError as error:
        return _complain(_explain_os_error(error))
    except KeyboardInterrupt:
        _say("\nInterrupted. The next call begins again where that is needed.")
        return 130
    return 0


# -- is there anything to do? --------------------------------------------------------------------


def _is_ready(is_exact: bool) -> bool:
    try:
        with open(STAMP) as file:
            stamped = file.read()
    except OSError:
        return False
    return (
        stamped == _fingerprint()
        and os.path.exists(_program("python"))
        and not os.path.exists(UNFINISHED)
        and not (is_exact and _venv_version() != sys.version_info[:2])
    )


def _fingerprint() -> str:
    digest = hashlib.sha256(ROOT.encode("utf-8", "surrogateescape"))
    for path in [LOCK_FILE, *(os.path.join(ROOT, m, "pyproject.toml") for m in _members())]:
        with open(path, "rb") as file:
            digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + file.read())
    return digest.hexdigest()


def _members() -> "list[str]":
    plugins = os.path.join(ROOT, "plugins")
    names = sorted(os.listdir(plugins)) if os.path.isdir(plugins) else []
    members = ["core", "tenants", "graphql", *(os.path.join("plugins", name) for name in names)]
    return [m for m in members if os.path.exists(os.path.join(ROOT, m, "pyproject.toml"))]


def _venv_version() -> "tuple[int, ...]":
    try:
        with open(os.path.join(VENV, "pyvenv.cfg")) as file:
            found = re.search(r"^version(?:_info)? *= *(\d+)\.(\d+)", file.read(), re.MULTILINE)
    except OSError:
        return (0, 0)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _program(name: str) -> str:
    return os.path.join(VENV, "bin", name)


# -- build ---------------------------------------------------------------------------------------


def _build(is_exact: bool) -> None:
    is_usable = os.path.exists(_program("pip")) and os.path.exists(_program("python"))
    is_right = _venv_version() == sys.version_info[:2] if is_exact else _venv_version() >= OLDEST
    if os.path.exists(UNFINISHED) or not is_usable or not is_right:
        _check_space()
        _say(f"Building the environment .venv with Python {_version()} ...")
        _make_venv()
    _install_packages()
    _install_members()
    with open(STAMP, "w") as file:
        file.write(_fingerprint())
    _forget_unfinished()
    _say("Ready.")


def _make_venv() -> None:
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Problem(
            "This Python cannot make virtual environments (its module ensurepip is missing).\n"
            f"On Debian and Ubuntu install it: apt install python{_version(2)}-venv\n"
            "Or use another Python: make run PYTHON=/path/to/python3.11"
        ) from None
    for name in os.listdir(VENV):
        path = os.path.join(VENV, name)
        if path != TURN:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    _note_unfinished()
    base = getattr(sys, "_base_executable", sys.executable)
    _run([base, "-m", "venv", VENV], what="making .venv", watch=lambda line: None)
    _forget_unfinished()


def _note_unfinished() -> None:
    with open(UNFINISHED, "w"):
        pass


def _forget_unfinished() -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(UNFINISHED)


def _install_packages() -> None:
    with open(LOCK_FILE) as file:
        total = len(re.findall(r"^[a-zA-Z0-9_.-]+(?:\[.*?\])?==", file.read(), re.MULTILINE))
    progress = _Progress(total)
    command = [_program("python"), "-m", "pip", "install", *PIP_QUIET, "--no-deps", "--no-compile"]
    command += ["--require-hashes", "-r", LOCK_FILE]
    _run(command, what="installing the packages of requirements.lock", watch=progress.line)
    progress.done()


def _install_members() -> None:
    _say(f"Installing the workspace: {', '.join(_members())} ...")
    command = [_program("python"), "-m", "pip", "install", *PIP_QUIET, "--no-deps"]
    command += ["--no-build-isolation"]
    for member in _members():
        command += ["-e", os.path.join(ROOT, member)]
    _run(command, what="installing the workspace's members", watch=lambda line: None)


class _Progress:
    """One line that changes on a terminal, a line for every tenth package elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._is_terminal = sys.stderr.isatty()

    def line(self, text: str) -> None:
        found = re.match(r"(?:Collecting|Requirement already satisfied:) ([^\s=<>(]+)", text)
        if found:
            self._count += 1
            self._show(f"Package {self._count} of {self._total}: {found.group(1)}")
        elif text.startswith("Installing collected packages"):
            _note_unfinished()  # a package that is half there looks to pip like a whole one
            self._count = 0
            self._show(f"Unpacking {text.count(',') + 1} packages ...")

    def done(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\033[K")

    def _show(self, text: str) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\033[K" + text[:78])
            sys.stderr.flush()
        elif self._count % 10 == 0:
            _say(text)


def _run(command: "list[str]", *, what: str, watch: "Callable[[str], object]") -> None:
    """Run a program, show `watch` each line, and explain its failure."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    lines = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
        env=environment,
        cwd=ROOT,
    )
    try:
        for line in process.stdout or ():
            lines.append(line)
            watch(line)
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
    if process.returncode != 0:
        raise Problem(_explain(what, "".join(lines)))


# -- explain -------------------------------------------------------------------------------------

_EXPLANATIONS = (
    (r"No space left on device|Disk quota exceeded", "The disk is full. Free some space."),
    (
        r"DO NOT MATCH THE HASHES",
        "A package is not the one that requirements.lock names: the registry or a mirror serves "
        "something else. Do not go on before you know why.",
    ),
    (
        r"NewConnectionError|Max retries|Temporary failure in name resolution|Read timed out|"
        r"Connection (?:broken|reset|refused|aborted)|ProxyError|\(from versions: none\)|"
        r"SSLError|Network is unreachable",
        "The package registry cannot be reached. Check the network, the proxy (HTTPS_PROXY) and "
        "pip's settings (pip config list), then call again.",
    ),
    (r"Permission denied|Read-only file system", "The folder " + ROOT + " cannot be written."),
    (
        r"No matching distribution found",
        "The registry has no build of a package for this Python and platform. Try another "
        "Python: make run PYTHON=/path/to/python3.11",
    ),
)


def _explain(what: str, output: str) -> str:
    tail = "\n".join("  " + line[:200] for line in output.strip().splitlines()[-8:])
    for pattern, words in _EXPLANATIONS:
        if re.search(pattern, output):
            return f"{what.capitalize()} did not work.\n{words}\nIt said:\n{tail}"
    return f"{what.capitalize()} did not work. It said:\n{tail}"


def _explain_os_error(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {ROOT} is full. Free some space and call again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename or ROOT} cannot be written ({error.strerror}).\n"
            "Set-up needs to make the folder .venv here: use a clone that you own."
        )
    return str(error)


def _check_python() -> None:
    if sys.version_info < OLDEST:
        raise Problem(
            f"Python 3.11 or newer is needed, this is {_version()} ({sys.executable}).\n"
            "Name another one with PYTHON=..., for example: make run PYTHON=python3.11"
        )


def _version(length: int = 3) -> str:
    return ".".join(str(part) for part in sys.version_info[:length])


def _check_space() -> None:
    free_mb = shutil.disk_usage(ROOT).free // 1024**2
    if free_mb < LEAST_FREE_MB:
        raise Problem(
            f"Only {free_mb} MB are free on the disk of {ROOT}; the environment and the "
            f"database need about {LEAST_FREE_MB} MB. Free some space and call again."
        )


@contextlib.contextmanager
def _whole_turn() -> "Iterator[None]":
    """One set-up at a time: the second call waits and then finds everything ready."""
    os.makedirs(VENV, exist_ok=True)
    with open(TURN, "w") as turn:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                _say("Another call is setting up this clone; waiting for it ...")
                fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _complain(text: str) -> int:
    _say("\n" + text)
    return 1


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
