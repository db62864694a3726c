/* plasm-hostile: a peer that keeps no rule, for tests. One attack for some seconds, then one line
 * of JSON with what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/sign.h"
#include "host/host.h"
#include "tube.h"

static int usage(void) {
    (void)fprintf(stderr, "usage: plasm-hostile ATTACK IP PORT SECONDS [SOURCE-IP COUNT STEP]\n\n");
    for (size_t i = 0; i < attack_count; i++) {
        (void)fprintf(stderr, "  %-18s %s\n", attacks[i].name, attacks[i].what);
    }
    for (size_t i = 0; i < tube_attack_count; i++) {
        (void)fprintf(stderr, "  %-18s %s\n", tube_attacks[i].name, tube_attacks[i].what);
    }
    return 2;
}

static const struct attack *find(const struct attack *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
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
           "\"goodbyes\":%llu,\"goodbye_code\":%u,\"reason\":\"%s\"}\n",
           attacker->attack->name, (unsigned long long)attacker->dialled,
           (unsigned long long)attacker->connected, (unsigned long long)attacker->closed,
           attacker->conn_count, (unsigned long long)attacker->streams,
           (unsigned long long)attacker->refused_streams, (unsigned long long)attacker->datagrams,
           (unsigned long long)attacker->frames, (unsigned long long)attacker->goodbyes,
           (unsigned)attacker->goodbye_code, reason);
}

int main(int argc, char **argv) {
    static struct attacker attacker;
    if ((argc != 5 && argc != 8) ||
        netaddr_parse_ip(bytes_of_string(argv[2]), &attacker.target) != 0) {
        return usage();
    }
    attacker.target.port = (uint16_t)strtoul(argv[3], NULL, 10);
    attacker.attack = find(attacks, attack_count, argv[1]);
    if (attacker.attack == NULL) {
        attacker.attack = find(tube_attacks, tube_attack_count, argv[1]);
    }
    if (argc == 8) {
        attacker.source_count = (uint32_t)strtoul(argv[6], NULL, 10);
        attacker.source_step = (uint32_t)strtoul(argv[7], NULL, 10);
    }
    if (attacker.attack == NULL ||
        (argc == 8 && netaddr_parse_ip(bytes_of_string(argv[5]), &attacker.sources) != 0)) {
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
    tubes_close(&attacker);
    wire_close(&attacker);
    report(&attacker);
    return 0;
}
