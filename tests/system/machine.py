"""A machine to install things on: systemd booted in a container whose changes are thrown away, or
kept in a root of its own over reboots."""

import os
import shutil
import subprocess
import time

PACKAGES = "systemd,systemd-sysv,libgnutls30,procps"
BOOT_SECONDS_MAX = 60
COMMAND_SECONDS_MAX = 120


def unavailable():
    """Why there can be no machine here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("mmdebstrap", "systemd-nspawn", "nsenter"):
        if shutil.which(program) is None:
            return f"needs {program}"
    return None


def make_root(directory):
    """The files of a small system with systemd, made once; this machine's own release."""
    if os.path.isdir(directory):
        return
    with open("/etc/os-release", encoding="utf-8") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    unfinished = directory + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}",
                    release["VERSION_CODENAME"].strip('"'), unfinished], check=True)
    os.rename(unfinished, directory)


def copy_root(directory, copy):
    """A root that may be kept; gone before, should one be left."""
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", directory, copy], check=True)


class Machine:
    """Boots on entering; `files` are copied into its /srv first. Where `kept`, changes stay in the
    root: entering again is a reboot."""

    def __init__(self, root, files=(), kept=False):
        self.root = root
        self.files = files
        self.volatile = [] if kept else ["--volatile=overlay"]
        self.container = None
        self.leader = None

    def __enter__(self):
        for path in self.files:
            shutil.copy(path, os.path.join(self.root, "srv"))
        # nspawn's own filter of this release does not know Landlock, which real machines have.
        self.container = subprocess.Popen(
            ["systemd-nspawn", "-D", self.root, "--boot", "--quiet", *self.volatile,
             "--register=no", "--keep-unit", "--private-network",
             "--system-call-filter=landlock_create_ruleset landlock_add_rule "
             "landlock_restrict_self"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_until_booted()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_booted(self):
        deadline = time.monotonic() + BOOT_SECONDS_MAX
        children = f"/proc/{self.container.pid}/task/{self.container.pid}/children"
        state = ""
        while time.monotonic() < deadline:
            if self.container.poll() is not None:
                raise RuntimeError(f"systemd-nspawn ended with {self.container.returncode}")
            with open(children, encoding="utf-8") as file:
                pids = file.read().split()
            if pids:
                self.leader = pids[0]
                state = self.run("systemctl", "is-system-running").stdout.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the machine did not boot: {state}")

    def stop(self):
        if self.leader is not None:
            self.run("systemctl", "--no-block", "poweroff")
        try:
            self.container.wait(20)
        except subprocess.TimeoutExpired:
            self.container.kill()
            self.container.wait()

    def run(self, *command, stdin=""):
        """Runs a command in the machine; never fails by itself."""
        return subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C",
                               *command], input=stdin, text=True, errors="replace", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=COMMAND_SECONDS_MAX)

    def connect(self, namespace, ours, theirs):
        """A cable from a network namespace of this host: `theirs` is this machine's address."""
        cable = f"plasm{os.getpid() % 100000}"

        def inside(*command):
            subprocess.run(["nsenter", "-t", self.leader, "-n", *command], check=True)

        if not os.path.exists(f"/run/netns/{namespace}"):
            subprocess.run(["ip", "netns", "add", namespace], check=True)
        subprocess.run(["ip", "link", "add", cable, "netns", namespace, "type", "veth",
                        "peer", "name", "cable0", "netns", self.leader], check=True)
        subprocess.run(["ip", "-n", namespace, "address", "add", ours, "dev", cable], check=True)
        subprocess.run(["ip", "-n", namespace, "link", "set", cable, "up"], check=True)
        inside("ip", "address", "add", theirs, "dev", "cable0")
        inside("ip", "link", "set", "cable0", "up")

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout
