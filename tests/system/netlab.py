"""A network laboratory: hosts, switches, routers with NAT of four kinds, in network namespaces.

    with Lab() as lab:
        internet = lab.switch("internet")
        relay = lab.host("relay", internet, "20.1.0.1/8")
        home = lab.router("home", internet, "20.2.0.1/8", "10.1.0.1/24", nat=PORT_RESTRICTED)
        worker = lab.host("worker", home.inside, "10.1.0.2/24", gateway="10.1.0.1")
        worker.run("plasmd", ...)        # ends by itself, output captured
        worker.popen(["plasmd", ...])    # ended with the laboratory at the latest

Nothing of it touches the machine's own network: every interface is made inside a namespace, none
has a way out. `lab.unavailable()` says why there can be none here. A host's address "20.x.y.z"
counts as public for libp2p programs (the documentation ranges do not); give hosts different second
numbers, because DHTs count addresses of one /16 together.

What each kind of NAT does to UDP and TCP, as RFC 4787 names it; netlab_test.py probes all of it:

    kind                 mapping                      filtering
    FULL_CONE            endpoint-independent         endpoint-independent
    ADDRESS_RESTRICTED   endpoint-independent         address-dependent
    PORT_RESTRICTED      endpoint-independent         address- and port-dependent
    SYMMETRIC            address- and port-dependent  address- and port-dependent
"""

import atexit
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess

FULL_CONE = "full cone"
ADDRESS_RESTRICTED = "address-restricted"
PORT_RESTRICTED = "port-restricted"
SYMMETRIC = "symmetric"
KINDS = (FULL_CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED, SYMMETRIC)

COMMAND_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
CLONE_NEWNET = 0x40000000
NAMESPACES = "/run/netns"

# conntrack lets in answers only: that is the strictest filtering, and masquerading keeps the port
# where it is free: one mapping for all destinations. What arrives uninvited is dropped before it is
# a connection, else it would take the port away from the hole punch that comes after it.
NAT = """
table ip nat {
    map udp_owners { type inet_service : ipv4_addr; flags dynamic,timeout; timeout 120s; size 4096; }
    map tcp_owners { type inet_service : ipv4_addr; flags dynamic,timeout; timeout 120s; size 4096; }
    set udp_friends { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; size 4096; }
    set tcp_friends { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; size 4096; }
    chain blocked { }
    chain forward {
        type filter hook forward priority 0; policy drop;
        jump blocked
        iif != %(outside)d oif %(outside)d jump remember
        iif != %(outside)d accept
        ct state established,related accept
        ct status dnat accept
    }
    chain remember {%(remember)s
    }
    chain input {
        type filter hook input priority 0;
        iif %(outside)d ct state != established,related drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat;
        iif != %(outside)d return
        ip daddr != %(address)s return%(let_in)s
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oif %(outside)d masquerade%(random)s
    }
}
"""
# An endpoint-independent filter needs to know whose port it is: the port as it was inside, because
# it stays the same outside (one host behind such a router must not take another one's port).
REMEMBER_OWNER = """
        meta l4proto udp update @udp_owners { udp sport : ip saddr }
        meta l4proto tcp update @tcp_owners { tcp sport : ip saddr }"""
REMEMBER_FRIEND = """
        meta l4proto udp update @udp_friends { udp sport . ip daddr }
        meta l4proto tcp update @tcp_friends { tcp sport . ip daddr }"""
LET_ALL_IN = """
        meta l4proto udp dnat to udp dport map @udp_owners
        meta l4proto tcp dnat to tcp dport map @tcp_owners"""
LET_FRIENDS_IN = """
        meta l4proto udp udp dport . ip saddr @udp_friends dnat to udp dport map @udp_owners
        meta l4proto tcp tcp dport . ip saddr @tcp_friends dnat to tcp dport map @tcp_owners"""
NAT_RULES = {
    FULL_CONE: (REMEMBER_OWNER, LET_ALL_IN, ""),
    ADDRESS_RESTRICTED: (REMEMBER_OWNER + REMEMBER_FRIEND, LET_FRIENDS_IN, ""),
    PORT_RESTRICTED: ("", "", ""),
    SYMMETRIC: ("", "", " random,fully-random"),
}
# A host's own firewall; rules go into the chain `blocked`. Only what comes in: a sender would be
# told of what is dropped going out, and the point of a block is silence.
FIREWALL = """
table inet firewall {
    chain blocked { }
    chain input { type filter hook input priority 0; iifname != "lo" jump blocked; }
}
"""


def command(*argv, stdin=None):
    """Runs a command that must succeed; its output."""
    done = subprocess.run(argv, input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=COMMAND_SECONDS_MAX)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout.strip()}\n{stdin or ''}")
    return done.stdout


def unavailable():
    """Why there can be no laboratory here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft", "nsenter"):
        if shutil.which(program) is None:
            return f"needs the command {program}"
    name = f"plasm-{os.getpid()}-probe"
    try:
        command("ip", "netns", "add", name)
        try:
            command("ip", "-n", name, "link", "add", "br0", "type", "bridge")
            command("nsenter", f"--net={NAMESPACES}/{name}", "nft", "-f", "-",
                    stdin=FIREWALL + NAT % nat_values(SYMMETRIC, 1, "20.0.0.1"))
        finally:
            command("ip", "netns", "del", name)
    except RuntimeError as error:
        return f"network namespaces with NAT are refused: {error}"
    return None


def nat_values(kind, outside, address):
    remember, let_in, random = NAT_RULES[kind]
    return {"outside": outside, "address": address, "remember": remember, "let_in": let_in,
            "random": random}


class Node:
    """A network namespace. Use Lab's functions to make one."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.namespace = f"plasm-{os.getpid()}-{lab.number}-{name}"
        self.processes = []
        self.cleanups = []  # called once its processes have ended
        command("ip", "netns", "add", self.namespace)
        # No duplicate address detection: an IPv6 address counts at once.
        self.shell("ip link set lo up; cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0; "
                   "echo 0 >all/accept_dad; echo 0 >default/accept_dad")

    def argv(self, *argv):
        """The command line that runs a command here."""
        return ["nsenter", f"--net={NAMESPACES}/{self.namespace}", "--", *argv]

    def shell(self, script):
        return command(*self.argv("sh", "-ec", script))

    def nft(self, rules):
        command(*self.argv("nft", "-f", "-"), stdin=rules)

    def run(self, *argv, timeout=COMMAND_SECONDS_MAX, **options):
        """subprocess.run with captured output; never fails by itself."""
        return subprocess.run(self.argv(*argv), capture_output=True, check=False, timeout=timeout,
                              **options)

    def popen(self, argv, **options):
        """subprocess.Popen; what still runs is ended with the laboratory."""
        process = subprocess.Popen(self.argv(*argv), **options)  # nsenter becomes the program
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace meanwhile: sockets it opens stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"{NAMESPACES}/{self.namespace}", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                    os.abort()  # the rest would run in the wrong network

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for cleanup in self.cleanups:
            cleanup()
        subprocess.run(["ip", "netns", "del", self.namespace], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Switch(Node):
    """One Ethernet: whoever is plugged in hears each other, multicast too."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.ports = 0
        self.shell("ip link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0; "
                   "ip link set br0 up")

    def plug(self, node, interface):
        """Makes `interface` in the node's namespace, connected here and up."""
        port = f"p{self.ports}"
        self.ports += 1
        command("ip", "link", "add", port, "netns", self.namespace, "type", "veth", "peer", "name",
                interface, "netns", node.namespace)
        self.shell(f"ip link set {port} master br0 up")
        node.shell(f"ip link set {interface} up")


class Host(Node):
    """A machine with interfaces eth0, eth1 ... and a firewall that lets everything through."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.interfaces = 0
        self.gateway = None
        self.nft(FIREWALL)

    def plug(self, switch, *addresses):
        """Another interface, with "ADDRESS/PREFIX"es; its name."""
        interface = f"eth{self.interfaces}"
        self.interfaces += 1
        switch.plug(self, interface)
        for address in addresses:
            self.address_add(address, interface)
        return interface

    def address_add(self, address, interface="eth0"):
        self.shell(f"ip address add {address} dev {interface}")

    def address_remove(self, address, interface="eth0"):
        self.shell(f"ip address del {address} dev {interface}")

    def route(self, gateway):
        self.gateway = gateway
        self.shell(f"ip route replace default via {gateway}")

    def renumber(self, *addresses, interface="eth0", gateway=None):
        """Other addresses instead of all there are, as from a new lease: down, up, new route."""
        adds = "".join(f"ip address add {address} dev {interface}; " for address in addresses)
        self.shell(f"ip link set {interface} down; ip address flush dev {interface}; {adds}"
                   f"ip link set {interface} up")
        gateway = gateway or self.gateway
        if gateway is not None:
            self.route(gateway)

    def link_down(self, interface="eth0"):
        self.shell(f"ip link set {interface} down")

    def link_up(self, interface="eth0"):
        """Routes through the interface went with it: the default route is made again."""
        self.shell(f"ip link set {interface} up")
        if self.gateway is not None:
            self.route(self.gateway)

    def block(self, rule):
        """Drops what comes in and matches, "meta l4proto udp"; not on the loopback interface."""
        self.nft(f"add rule inet firewall blocked {rule} drop")

    def unblock(self):
        self.nft("flush chain inet firewall blocked")


class Router(Host):
    """Between `outside` (eth0) and a network of its own, `inside` (eth1)."""

    def __init__(self, lab, name, outside, address, inside_address, nat):
        super().__init__(lab, name)
        self.nat = nat
        self.address = address.split("/")[0]
        self.inside = lab.switch(name + "-lan")
        self.plug(outside, address)
        self.plug(self.inside, inside_address)
        self.shell("echo 1 >/proc/sys/net/ipv4/ip_forward")
        if nat is not None:
            self.nft(NAT % nat_values(nat, self.index("eth0"), self.address))

    def index(self, interface):
        # Where the other end's namespace is only just there, ip says so in a line before the answer.
        shown = self.shell(f"ip -o link show {interface}")
        return int(re.search(r"^(\d+): ", shown, re.MULTILINE).group(1))

    def block_forward(self, rule):
        """Drops what matches and would be forwarded, either way: "meta l4proto udp"."""
        self.nft(f"add rule ip nat blocked {rule} drop")

    def unblock_forward(self):
        self.nft("flush chain ip nat blocked")

    def forward_port(self, protocol, port, to):
        """A port forwarding as an operator makes it by hand."""
        self.nft(f"insert rule ip nat prerouting ip daddr {self.address} {protocol} dport {port} "
                 f"dnat to {to}")

    def forget(self):
        """As after a power cut: mappings and connections are gone."""
        kind = self.nat
        self.nft("delete table ip nat")
        if shutil.which("conntrack") is not None:
            self.run("conntrack", "-F")
        self.nft(NAT % nat_values(kind, self.index("eth0"), self.address))


class Lab:
    """Everything that was made ends when it is left, also by an exception, exit or SIGTERM."""

    count = 0

    def __init__(self):
        Lab.count += 1
        self.number = Lab.count
        self.nodes = []
        self.old_handler = None

    def __enter__(self):
        remove_left_over()
        atexit.register(self.stop)
        self.old_handler = signal.signal(signal.SIGTERM, lambda *_: exit(143))
        return self

    def __exit__(self, *_):
        self.stop()
        atexit.unregister(self.stop)
        signal.signal(signal.SIGTERM, self.old_handler)

    def stop(self):
        while self.nodes:
            self.nodes.pop().stop()

    def keep(self, node):
        self.nodes.append(node)
        return node

    def switch(self, name):
        return self.keep(Switch(self, name))

    def host(self, name, switch, *addresses, gateway=None):
        host = self.keep(Host(self, name))
        host.plug(switch, *addresses)
        if gateway is not None:
            host.route(gateway)
        return host

    def router(self, name, outside, address, inside_address, nat=None, gateway=None):
        """nat None routes without translating."""
        router = self.keep(Router(self, name, outside, address, inside_address, nat))
        if gateway is not None:
            router.route(gateway)
        return router


def remove_left_over():
    """Namespaces of laboratories whose process was killed."""
    for name in os.listdir(NAMESPACES) if os.path.isdir(NAMESPACES) else ():
        match = re.fullmatch(r"plasm-(\d+)-.*", name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            subprocess.run(["ip", "netns", "del", name], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
