/* plasm-hostile: a peer that keeps no rule, for tests. One attack for some seconds, then one line
 * of JSON with what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack.h"
#include "crypto/sign.h"
#include "host/host.h"

static int usage(void) {
    (void)fprintf(stderr, "usage: plasm-hostile ATTACK IP PORT SECONDS\n\n");
    for (size_t i = 0; i < attack_count; i++) {
        (void)fprintf(stderr, "  %-16s %s\n", attacks[i].name, attacks[i].what);
    }
    return 2;
}

static void report(const struct attacker *attacker) {
    char reason[160];
    size_t size = 0;
    for (const char *at = attacker->last_reason; *at != '\0' && size + 1 < sizeof(reason); at++) {
        reason[size++] = *at == '"' || *at == '\\' ? '\'' : *at;
    }
    reason[size] = '\0';
    printf("{\"attack\":\"%s\",\"dialled\":%llu,\"connected\":%llu,\"closed\":%llu,\"open\":%zu,"
           "\"streams\":%llu,\"refused_streams\":%llu,\"datagrams\":%llu,\"frame_packets\":%llu,"
           "\"reason\":\"%s\"}\n",
           attacker->attack->name, (unsigned long long)attacker->dialled,
           (unsigned long long)attacker->connected, (unsigned long long)attacker->closed,
           attacker->conn_count, (unsigned long long)attacker->streams,
           (unsigned long long)attacker->refused_streams, (unsigned long long)attacker->datagrams,
           (unsigned long long)attacker->frames, reason);
}

int main(int argc, char **argv) {
    static struct attacker attacker;
    if (argc != 5 || netaddr_parse_ip(bytes_of_string(argv[2]), &attacker.target) != 0) {
        return usage();
    }
    attacker.target.port = (uint16_t)strtoul(argv[3], NULL, 10);
    for (size_t i = 0; i < attack_count; i++) {
        if (strcmp(attacks[i].name, argv[1]) == 0) {
            attacker.attack = &attacks[i];
        }
    }
    if (attacker.attack == NULL) {
        return usage();
    }
    if (crypto_init() != 0 || wire_open(&attacker) != 0) {
        (void)fprintf(stderr, "plasm-hostile: cannot begin\n");
        return 1;
    }
    attacker.begun = host_now();
    nanos end = attacker.begun + strtoul(argv[4], NULL, 10) * NANOS_SECOND;
    while (attacker.now < end) {
        attacker.attack->step(&attacker);
        wire_turn(&attacker);
    }
    wire_close(&attacker);
    report(&attacker);
    return 0;
}
