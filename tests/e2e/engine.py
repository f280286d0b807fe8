"""The kvsync engine as a process, with what it logs."""

import contextlib
import io
import os
import pathlib
import signal
import subprocess

from cluster import ClusterError, die_with_parent, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

READ_AGAIN = "configuration read again"


class Engine:
    """Start and stop it by `with`; an end with another code than 0 is an error."""

    def __init__(self, directory, kubeconfig, environment, config="", binary=None, arguments=()):
        self.directory = pathlib.Path(directory)
        self.kubeconfig = kubeconfig
        self.environment = environment
        self.config = config
        self.arguments = arguments
        self.binary = pathlib.Path(binary or os.environ.get("KVSYNC", ROOT / "build/release/kvsync"))
        self.process = None
        self.log_file = self.directory / "kvsync.log"

    def __enter__(self):
        if not self.binary.exists():
            raise ClusterError(f"{self.binary} is not built: cmake --preset release && cmake --build --preset release")
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self._write_config()
        # Straight to the file: a reader of our own would take CPU from what is measured, a line for each write of a Secret.
        with open(self.log_file, "ab") as log:
            self.log_begins = log.tell()
            self.process = subprocess.Popen(
                [str(self.binary), "run", "--kubeconfig", str(self.kubeconfig), "--config", str(config),
                 *self.arguments],
                stderr=log, preexec_fn=die_with_parent,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory), **self.environment})
        return self

    def _write_config(self):
        path = self.directory / "config.yaml"
        # No port of its own, unless the scenario wants one: several engines may run on this machine.
        port = "" if "statusPort:" in self.config else "statusPort: 0\n"
        path.write_text(self.config + port)
        return path

    def change_config(self, config, timeout=30):
        """Under the running engine, which reads it again by itself; returns when it has."""
        mark = self.log_file.stat().st_size
        self.config = config
        self._write_config()
        wait_for("kvsync to read its configuration again", lambda: READ_AGAIN in self._log_from(mark), timeout)

    def __exit__(self, kind, *_):
        code = self.stop()
        if kind is None and code:
            raise ClusterError(f"kvsync ended with code {code}:\n" + "".join(self.lines[-30:]))

    def stop(self, number=signal.SIGTERM, timeout=40):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed: it did not end within %d s" % timeout
        return code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def _log_from(self, mark):
        with open(self.log_file, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def log(self):
        """What it has logged since its start."""
        return self._log_from(self.log_begins)

    @property
    def lines(self):
        return list(io.StringIO(self.log()))

    def wait_for_line(self, text, timeout=30):
        def seen():
            if self.process.poll() is not None:
                raise SystemExit(f"kvsync ended with code {self.process.returncode}:\n{self.log()[-3000:]}")
            return any(text in line for line in self.lines)
        wait_for(f"kvsync to log '{text}'", seen, timeout)
