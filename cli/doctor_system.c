/* What plasm doctor asks this machine and its router: clock, firewall, port forwarding. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/timex.h>
#endif

#include "cli/doctor.h"

#define WORKER_PORT        4001
#define NATPMP_PORT        5351
#define NATPMP_WAIT_MS     800
#define NATPMP_ANSWER_SIZE 12
#define SSDP_PORT          1900
#define SSDP_WAIT_MS       2000
#define LINE_SIZE          512

void doctor_clock(struct doctor *doctor) {
#ifdef __linux__
    struct timex now = {.modes = 0};
    int state = adjtimex(&now);
    if (state < 0 || state == TIME_ERROR) {
        doctor_say(doctor, "clock", DOCTOR_NOTE, "timedatectl set-ntp true",
                   "Nothing keeps this machine's clock right; offers are refused when it is five "
                   "minutes off.");
        return;
    }
#endif
    doctor_say(doctor, "clock", DOCTOR_OK, NULL, "The clock is kept right by the network's time.");
}

/* True when a file has a line that contains `what`. */
static bool file_has(const char *path, const char *what) {
    FILE *file = fopen(path, "re");
    char line[LINE_SIZE];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = strstr(line, what) != NULL && line[0] != '#';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

/* True when a chain for what comes in drops what no rule takes: nft's own words, root only. */
static bool nft_drops_input(void) {
    FILE *pipe = geteuid() == 0 ? popen("nft list ruleset 2>/dev/null", "r") : NULL;
    char line[LINE_SIZE];
    bool drops = false;
    while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL) {
        drops =
            drops || (strstr(line, "hook input") != NULL && strstr(line, "policy drop") != NULL);
    }
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
    return drops;
}

void doctor_firewall(struct doctor *doctor) {
    if (file_has("/etc/ufw/ufw.conf", "ENABLED=yes")) {
        bool allowed = file_has("/etc/ufw/user.rules", "4001");
        doctor_say(doctor, "firewall", allowed ? DOCTOR_OK : DOCTOR_WARN,
                   allowed ? NULL : "sudo ufw allow 4001/udp && sudo ufw allow 4001/tcp",
                   allowed ? "ufw is on, and has a rule for port 4001."
                           : "ufw is on; no rule for port 4001 could be read. A worker here needs "
                             "one.");
    } else if (nft_drops_input()) {
        doctor_say(doctor, "firewall", DOCTOR_WARN,
                   "sudo nft add rule inet filter input udp dport 4001 accept",
                   "nftables drops what comes in unless a rule takes it. A worker here needs port "
                   "4001.");
    } else {
        doctor_say(doctor, "firewall", DOCTOR_OK, NULL,
                   "No firewall of this machine that could be seen is in the way.");
    }
}

/* The gateway of the default route, from the kernel's table; 0 when there is none. */
static in_addr_t default_gateway(void) {
    FILE *file = fopen("/proc/net/route", "re");
    char line[LINE_SIZE];
    unsigned long gateway = 0;
    while (file != NULL && gateway == 0 && fgets(line, sizeof(line), file) != NULL) {
        unsigned long destination;
        char name[64];
        if (sscanf(line, "%63s %lx %lx", name, &destination, &gateway) != 3 || destination != 0) {
            gateway = 0;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (in_addr_t)gateway;
}

/* Sends one datagram and gives the size of the first answer, 0 for none. */
static size_t ask(in_addr_t to, uint16_t port, const void *question, size_t size, void *room,
                  size_t room_size, int wait_ms) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = to}};
    ssize_t got = -1;
    if (fd >= 0 && sendto(fd, question, size, 0, (const struct sockaddr *)&address,
                          sizeof(address)) == (ssize_t)size) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, wait_ms) == 1) {
            got = recv(fd, room, room_size, 0);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return got > 0 ? (size_t)got : 0;
}

static bool has_natpmp(char *ip, size_t ip_size) {
    static const uint8_t question[2] = {0, 0}; /* version 0, opcode 0: the outer address */
    uint8_t answer[64];
    in_addr_t gateway = default_gateway();
    size_t size = gateway == 0 ? 0
                               : ask(gateway, NATPMP_PORT, question, sizeof(question), answer,
                                     sizeof(answer), NATPMP_WAIT_MS);
    return size == NATPMP_ANSWER_SIZE && answer[1] == 128 && answer[2] == 0 && answer[3] == 0 &&
           inet_ntop(AF_INET, answer + 8, ip, (socklen_t)ip_size) != NULL;
}

static bool has_upnp(void) {
    static const char question[] = "M-SEARCH * HTTP/1.1\r\n"
                                   "HOST: 239.255.255.250:1900\r\n"
                                   "MAN: \"ssdp:discover\"\r\n"
                                   "MX: 1\r\n"
                                   "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                                   "\r\n";
    char answer[1024];
    size_t size = ask(inet_addr("239.255.255.250"), SSDP_PORT, question, sizeof(question) - 1,
                      answer, sizeof(answer) - 1, SSDP_WAIT_MS);
    answer[size] = '\0';
    return strstr(answer, "InternetGatewayDevice") != NULL;
}

void doctor_router(struct doctor *doctor) {
    char ip[INET_ADDRSTRLEN];
    if (has_natpmp(ip, sizeof(ip))) {
        doctor_say(doctor, "router", DOCTOR_OK, NULL,
                   "The router forwards ports by NAT-PMP; its outer address is %s.", ip);
    } else if (has_upnp()) {
        doctor_say(doctor, "router", DOCTOR_OK, NULL, "The router forwards ports by UPnP.");
    } else {
        doctor_say(doctor, "router", DOCTOR_NOTE, NULL,
                   "No router here forwards ports by itself (UPnP, NAT-PMP). A worker behind it "
                   "is reached by a relay, or by a forwarding of port 4001 you set up.");
    }
}

bool doctor_worker_listens(void) {
    char port[16];
    (void)snprintf(port, sizeof(port), ":%04X ", WORKER_PORT);
    return file_has("/proc/net/udp", port) || file_has("/proc/net/udp6", port);
}

bool doctor_is_own_ip(const char *ip) {
    struct ifaddrs *interfaces;
    bool found = false;
    if (getifaddrs(&interfaces) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = interfaces; i != NULL && !found; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (i->ifa_addr == NULL) {
            continue;
        }
        if (i->ifa_addr->sa_family == AF_INET) {
            const struct sockaddr_in *in = (const void *)i->ifa_addr;
            (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        } else if (i->ifa_addr->sa_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const void *)i->ifa_addr;
            (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        }
        found = strcmp(text, ip) == 0;
    }
    freeifaddrs(interfaces);
    return found;
}
