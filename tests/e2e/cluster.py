#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager.

As a module:

    with Cluster() as cluster:
        cluster.apply(MANIFESTS)
        cluster.kubectl("get", "secrets", "--all-namespaces")

On the command line, in the foreground until SIGTERM or SIGINT:

    tests/e2e/cluster.py up --dir DIR

The binaries come from tests/e2e/build-cluster. Nothing survives the process that started the
cluster: each server dies with it, even when it is killed.
"""

import argparse
import base64
import contextlib
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MANIFESTS = ROOT / "deploy" / "manifests"
DRIFT_WATCH = ROOT / "deploy" / "drift-watch"
POLICIES = ROOT / "deploy" / "policies"
UPSTREAM_CRD = ROOT / "tests" / "k8s" / "upstream-crd.yaml"

# What CTest takes for "skipped".
SKIPPED = 77

# The shape that Azure Arc gives its issuers: a path, and a slash at the end.
ISSUER = "https://issuer.example/kvsync-e2e/"

CONTROLLERS = ",".join((
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "validatingadmissionpolicy-status-controller",
))

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""

ANYBODY_READS_JWKS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: anybody-reads-the-issuer-keys
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:service-account-issuer-discovery
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:unauthenticated
"""

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
{credentials}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {user}
current-context: {name}
"""


class ClusterError(Exception):
    """The cluster cannot be started or used; the text says why and what to do."""


class NoGo(ClusterError):
    """The cluster's binaries are not there and there is no Go to build them with."""


def say(text):
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def free_port():
    """A port that nobody has now, below the range from which outgoing connections take theirs."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ClusterError("no free port on 127.0.0.1 between 20000 and 32000")


def wait_for(what, predicate, timeout=60, interval=0.1):
    """Call predicate until it returns something true, and return that. It may raise ClusterError
    for "not yet"; the last such error is in the text when the time is over."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            result = predicate()
            if result:
                return result
        except ClusterError as error:
            last = error
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout} s for {what}" + (f": {last}" if last else ""))
        time.sleep(interval)


def die_with_parent():
    """In the child, before exec: a group of its own, and SIGKILL when the parent goes."""
    os.setsid()
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def find_oldest(build=False):
    """The folder of the oldest API server, which is built only when asked for; None: it is not in the cache."""
    folder = pathlib.Path(subprocess.run([HERE / "build-cluster", "--oldest", "--print-dir"], stdout=subprocess.PIPE,
                                         text=True, check=True).stdout.strip())
    if build and subprocess.run([HERE / "build-cluster", "--oldest"], stdout=subprocess.DEVNULL, check=False).returncode:
        raise ClusterError("tests/e2e/build-cluster --oldest failed, see above")
    return folder if (folder / "stamp").exists() else None


class Pki:
    """A CA, certificates signed by it, and the key that signs service-account tokens."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.ca = directory / "ca.crt"
        # Microsoft Entra accepts RS256 only, so the tokens' key is an RSA key.
        self.token_key = directory / "token.key"
        self._openssl("genrsa", "-out", self.token_key, "2048")
        self._openssl("req", "-x509", *self._new_key("ca"), "-subj", "/CN=kvsync test CA",
                      "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.ca)

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], cwd=self.directory,
                              capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")

    def _new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-keyout", self.directory / f"{name}.key")

    def certificate(self, name, subject, usage, hosts=None):
        """Make NAME.crt and NAME.key; returns both paths."""
        extensions = ["-addext", "basicConstraints=CA:FALSE",
                      "-addext", f"extendedKeyUsage={usage}"]
        if hosts:
            extensions += ["-addext", f"subjectAltName={hosts}"]
        path = self.directory / f"{name}.crt"
        self._openssl("req", "-x509", *self._new_key(name), "-CA", self.ca,
                      "-CAkey", self.directory / "ca.key", "-subj", subject, *extensions,
                      "-out", path)
        return path, self.directory / f"{name}.key"


class Cluster:
    """One control plane. Start and stop it by `with`, or by start() and stop()."""

    def __init__(self, directory=None, *, owner_enforcement=True, issuer=ISSUER, crds=None,
                 audit=False, compaction="2s", oldest=False, feature_gates=None):
        """crds: YAML files applied before the controller manager starts, which makes garbage
        collection know them at once (later it may take 40 s); None means those of deploy/manifests.
        audit: keep an audit log (see audit()); it costs 40 % of the throughput.
        compaction: how soon the API server forgets old revisions; short, so that a continue token
        expires within seconds. Watches are not affected.
        oldest: with the API server of find_oldest().
        feature_gates: of the API server, as its flag has them."""
        self.temporary = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="kvsync-cluster-"))
        self.owner_enforcement = owner_enforcement
        self.issuer = issuer
        self.crds = sorted(MANIFESTS.glob("*-crd-*.yaml")) if crds is None else crds
        self.with_audit = audit
        self.feature_gates = feature_gates
        self.compaction = compaction
        self.oldest = find_oldest() if oldest else None
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    # ---- life

    def start(self):
        started = time.monotonic()
        self.binaries = self._find_binaries()
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.directory / "pki").exists():
            raise ClusterError(f"{self.directory} has been used by a cluster: name a new folder")
        self.pki = Pki(self.directory / "pki")
        self._start_etcd()
        self._start_apiserver()
        self.apply_text(ANYBODY_READS_JWKS)
        for crd in self.crds:
            self.apply(crd)
        if self.crds:
            self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self._start_controller_manager()
        self.wait_for_serviceaccount("default", "default")
        say(f"ready after {time.monotonic() - started:.1f} s: {self.server}")

    def _end(self, name, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            say(f"{name} does not stop on SIGTERM, killing it")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _end_all(self):
        for name, process in reversed(self.processes):
            self._end(name, process)
        self.processes.clear()

    def back_up(self):
        """Stops everything, copies what etcd holds, and goes on at the same addresses."""
        self._end_all()
        shutil.copytree(self.directory / "etcd", self.directory / "etcd-backup")
        self._go_on()

    def restore(self):
        """The same with what was copied in the place of what etcd holds: revisions go back."""
        self._end_all()
        shutil.rmtree(self.directory / "etcd")
        shutil.copytree(self.directory / "etcd-backup", self.directory / "etcd")
        self._go_on()

    def _go_on(self):
        self._spawn(*self.etcd_command)
        self._spawn(*self.apiserver_command)
        wait_for("the API server", self._is_ready)
        self._start_controller_manager()

    def stop(self):
        self._end_all()
        if self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _find_binaries(self):
        done = subprocess.run([HERE / "build-cluster"], stdout=subprocess.PIPE, text=True)
        if done.returncode == SKIPPED:
            raise NoGo("no Go to build the cluster's binaries with, see above")
        if done.returncode:
            raise ClusterError("tests/e2e/build-cluster failed, see above")
        return pathlib.Path(done.stdout.strip())

    def _spawn(self, name, *arguments):
        folder = self.oldest if self.oldest and name == "kube-apiserver" else self.binaries
        log = self.directory / f"{name}.log"
        with open(log, "ab") as sink:
            process = subprocess.Popen([str(folder / name), *map(str, arguments)],
                                       stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                       cwd=self.directory, preexec_fn=die_with_parent)
        self.processes.append((name, process))

    def _check_alive(self):
        for name, process in self.processes:
            if process.poll() is not None:
                log = self.directory / f"{name}.log"
                tail = log.read_text(errors="replace").splitlines()[-5:]
                self.temporary = False
                raise SystemExit(f"cluster: {name} ended with code {process.returncode}; "
                                 f"its log is {log} and ends with:\n" + "\n".join(tail))

    def _start_etcd(self):
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.etcd = client
        self.etcd_command = ("etcd", "--name", "kvsync", "--data-dir", self.directory / "etcd",
                             "--listen-client-urls", client, "--advertise-client-urls", client,
                             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                             "--initial-cluster", f"kvsync={peer}", "--unsafe-no-fsync",
                             "--log-level", "warn")
        self._spawn(*self.etcd_command)

    def _start_apiserver(self):
        port = free_port()
        self.server = f"https://127.0.0.1:{port}"
        self.jwks_url = f"{self.server}/openid/v1/jwks"
        certificate, key = self.pki.certificate(
            "apiserver", "/CN=kube-apiserver", "serverAuth",
            "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        flags = [
            "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
            "--secure-port", port, "--endpoint-reconciler-type", "none",
            "--etcd-servers", self.etcd, "--etcd-compaction-interval", self.compaction,
            "--authorization-mode", "RBAC", "--client-ca-file", self.pki.ca,
            "--tls-cert-file", certificate, "--tls-private-key-file", key,
            "--cert-dir", self.directory / "apiserver",
            "--service-cluster-ip-range", "10.96.0.0/16",
            "--service-account-issuer", self.issuer,
            "--service-account-jwks-uri", self.jwks_url,
            "--service-account-signing-key-file", self.pki.token_key,
            "--service-account-key-file", self.pki.token_key,
            "--service-account-max-token-expiration", "24h",
            # Without it open watches keep a server that is asked to stop for a minute.
            "--shutdown-watch-termination-grace-period", "1s",
        ]
        if self.owner_enforcement:
            flags += ["--enable-admission-plugins", "OwnerReferencesPermissionEnforcement"]
        if self.feature_gates:
            flags += ["--feature-gates", self.feature_gates]
        if self.with_audit:
            policy = self.directory / "audit-policy.yaml"
            policy.write_text(AUDIT_POLICY)
            flags += ["--audit-policy-file", policy,
                      "--audit-log-path", self.directory / "audit.log"]
        self.apiserver_command = ("kube-apiserver", *flags)
        self._spawn(*self.apiserver_command)
        self.kubeconfig = self._certificate_kubeconfig("admin", "/O=system:masters/CN=admin")
        wait_for("the API server", self._is_ready)

    def _is_ready(self):
        self._check_alive()
        try:
            return self.get_anonymously("/readyz") == b"ok"
        except (urllib.error.URLError, OSError) as error:
            raise ClusterError(str(error)) from error

    def _start_controller_manager(self):
        config = self._certificate_kubeconfig(
            "controller-manager", "/CN=system:kube-controller-manager")
        self._spawn("kube-controller-manager", "--kubeconfig", config, "--leader-elect=false",
                    "--use-service-account-credentials=true", "--secure-port", "0",
                    "--kube-api-qps", "1000", "--kube-api-burst", "2000",
                    "--controllers", CONTROLLERS, "--root-ca-file", self.pki.ca)

    # ---- identities

    def _write_kubeconfig(self, user, credentials):
        path = self.directory / f"{user}.kubeconfig"
        text = KUBECONFIG.format(
            name="kvsync-e2e", server=self.server, user=user,
            ca=base64.b64encode(self.pki.ca.read_bytes()).decode(),
            credentials="\n".join(f"    {key}: {value}" for key, value in credentials.items()))
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _certificate_kubeconfig(self, user, subject):
        certificate, key = self.pki.certificate(user, subject, "clientAuth")
        return self._write_kubeconfig(user, {
            "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
            "client-key-data": base64.b64encode(key.read_bytes()).decode(),
        })

    def kubeconfig_for_serviceaccount(self, namespace, name, *, as_file=False):
        """A kubeconfig that is this service account for a day; as_file keeps the token in a file
        beside it, as a pod has it, instead of in the kubeconfig."""
        self.wait_for_serviceaccount(namespace, name)
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=24h").strip()
        user = f"{namespace}.{name}"
        if not as_file:
            return self._write_kubeconfig(user, {"token": token})
        path = self.directory / f"{user}.token"
        path.touch(mode=0o600)
        path.write_text(token)
        return self._write_kubeconfig(user, {"tokenFile": path})

    def wait_for_serviceaccount(self, namespace, name, timeout=30):
        def exists():
            self._check_alive()
            return self.kubectl("get", "serviceaccount", name, "-n", namespace, "-o", "name")
        wait_for(f"service account {namespace}/{name}", exists, timeout)

    # ---- use

    def kubectl(self, *arguments, input=None, kubeconfig=None):
        """Run kubectl and return what it printed; ClusterError with its own words if it fails."""
        command = [self.binaries / "kubectl", "--kubeconfig", kubeconfig or self.kubeconfig,
                   "--cache-dir", self.directory / "kubectl-cache", *arguments]
        done = subprocess.run(list(map(str, command)), input=input, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments, **options):
        """kubectl get ... as a dictionary."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json", **options))

    def apply(self, path, **options):
        """kubectl apply -f of a file or folder."""
        return self.kubectl("apply", "-f", path, **options)

    def apply_text(self, text, **options):
        return self.kubectl("apply", "-f", "-", input=text, **options)

    def get_anonymously(self, path):
        """GET without any credential, as the token issuer's keys are read by others."""
        context = ssl.create_default_context(cafile=self.pki.ca)
        with urllib.request.urlopen(self.server + path, context=context, timeout=5) as answer:
            return answer.read()

    def audit(self):
        """What was asked of the API server so far, oldest first (needs audit=True). Each entry has
        verb, user.username, objectRef, responseStatus.code, requestURI."""
        with open(self.directory / "audit.log", "rb") as log:
            return [json.loads(line) for line in log if line.endswith(b"\n")]


def run_test(name, main):
    """Run a test's main; end with a clear line and the exit code that CTest expects."""
    try:
        main()
    except NoGo as error:
        say(f"{name}: SKIPPED: {error}")
        sys.exit(SKIPPED)
    except ClusterError as error:
        sys.exit(f"{name}: FAILED: {error}")
    print(f"{name}: passed", flush=True)


def up(options):
    crds = None
    if options.no_crds:
        crds = []
    elif options.upstream_crd:
        crds = [*MANIFESTS.glob("*-crd-secretproviderclasses.yaml"), UPSTREAM_CRD]
    stop_signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    cluster = Cluster(options.dir, owner_enforcement=not options.no_owner_enforcement,
                      issuer=options.issuer, crds=crds, audit=options.audit)

    def stop(number, _):
        raise SystemExit(0)

    for number in stop_signals:
        signal.signal(number, stop)
    with cluster:
        print(f"ready: kubeconfig {cluster.kubeconfig}", flush=True)
        while True:
            time.sleep(1)
            cluster._check_alive()


def main():
    parser = argparse.ArgumentParser(description="A real Kubernetes control plane on loopback.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("up", help="run it in the foreground until SIGTERM")
    command.add_argument("--dir", required=True, help="a new folder for keys, data and logs")
    command.add_argument("--no-owner-enforcement", action="store_true",
                         help="without the admission plug-in OwnerReferencesPermissionEnforcement")
    command.add_argument("--issuer", default=ISSUER, help="service-account issuer (%(default)s)")
    command.add_argument("--no-crds", action="store_true", help="install no CRDs")
    command.add_argument("--upstream-crd", action="store_true",
                         help="install SecretSync as the upstream controller defines it")
    command.add_argument("--audit", action="store_true", help="keep an audit log in DIR/audit.log")
    command.set_defaults(run=up)
    options = parser.parse_args()
    try:
        options.run(options)
    except ClusterError as error:
        sys.exit(f"cluster: {error}")


if __name__ == "__main__":
    main()
