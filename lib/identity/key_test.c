/* Keys and peer ids: the specification's vectors and go-libp2p's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/peer_id.h"
#include "identity/vectors_testing.h"

static const char *const type_names[] = {"rsa", "ed25519", "secp256k1", "ecdsa"};

static void check_public(const struct vectors *vectors, struct bytes protobuf) {
    struct public_key key;
    assert_int_equal(public_key_decode(protobuf, &key), 0);
    assert_string_equal(type_names[key.type], vectors->words[1]);
    uint8_t room[KEY_ENCODED_MAX];
    struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
    public_key_encode(&key, &writer);
    assert_int_equal(writer.error, 0);
    assert_true(bytes_equal(writer_bytes(&writer), protobuf));
    struct peer_id id;
    peer_id_from_key(&key, &id);
    assert_int_equal(peer_id_check(&id, &key), 0);
    if (strcmp(vectors->words[2], "-") != 0) {
        char text[PEER_ID_TEXT_MAX];
        peer_id_format(&id, text);
        assert_string_equal(text, vectors->words[2]);
        struct peer_id parsed;
        assert_int_equal(peer_id_parse(bytes_of_string(text), &parsed), 0);
        assert_true(peer_id_equal(&id, &parsed));
    }
    struct public_key inside;
    int error = peer_id_key(&id, &inside);
    if (key.type == KEY_ED25519 || key.type == KEY_SECP256K1) {
        assert_int_equal(error, 0);
        assert_true(bytes_equal(bytes_of(inside.data, inside.size), bytes_of(key.data, key.size)));
    } else {
        assert_int_equal(error, PLASM_NOT_FOUND);
    }
    /* Any cut is refused: there is one encoding of a key. */
    for (size_t size = 0; size < protobuf.size; size++) {
        assert_int_not_equal(public_key_decode(bytes_slice(protobuf, 0, size), &inside), 0);
    }
}

static void check_signed(const struct vectors *vectors, struct bytes protobuf) {
    struct public_key key;
    assert_int_equal(public_key_decode(protobuf, &key), 0);
    struct bytes signature = vectors_hex(vectors->words[4]);
    assert_int_equal(public_key_verify(&key, BYTES_LITERAL("vector"), signature), 0);
    assert_int_equal(public_key_verify(&key, BYTES_LITERAL("Vector"), signature), PLASM_UNTRUSTED);
    assert_int_equal(
        public_key_verify(&key, BYTES_LITERAL("vector"), bytes_slice(signature, 0, 20)),
        PLASM_UNTRUSTED);
    vectors_free(signature);
}

static void vectors(void **state) {
    (void)state;
    struct vectors vectors;
    assert_true(vectors_open(&vectors, PLASM_SOURCE_DIR "/vectors/keys.txt"));
    size_t count = 0;
    while (vectors_next(&vectors)) {
        assert_int_equal(vectors.word_count, 5);
        struct bytes protobuf = vectors_hex(vectors.words[3]);
        if (strcmp(vectors.words[0], "private") != 0) {
            check_public(&vectors, protobuf);
        }
        if (strcmp(vectors.words[0], "signed") == 0) {
            check_signed(&vectors, protobuf);
        }
        vectors_free(protobuf);
        count++;
    }
    assert_int_equal(count, 12);
}

#define SPEC_PRIVATE                                                                               \
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"                     \
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define SPEC_PUBLIC_HALF "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

static int decode_private(const char *hex, struct ed25519_secret *ret_secret) {
    struct bytes protobuf = vectors_hex(hex);
    int error = private_key_decode(protobuf, ret_secret);
    vectors_free(protobuf);
    return error;
}

static void private_keys(void **state) {
    (void)state;
    struct ed25519_secret secret;
    assert_int_equal(decode_private(SPEC_PRIVATE, &secret), 0);
    char text[2 * ED25519_PUBLIC_SIZE + 1];
    bytes_to_hex(BYTES_ARRAY(secret.public_key), text, sizeof(text));
    assert_string_equal(text, SPEC_PUBLIC_HALF);
    uint8_t encoded[PRIVATE_KEY_ENCODED_SIZE];
    private_key_encode(&secret, encoded);
    char hex[2 * PRIVATE_KEY_ENCODED_SIZE + 1];
    bytes_to_hex(BYTES_ARRAY(encoded), hex, sizeof(hex));
    assert_string_equal(hex, SPEC_PRIVATE);
    /* The older form with the public key twice, right and wrong. */
    char old[2 * (PRIVATE_KEY_ENCODED_SIZE + ED25519_PUBLIC_SIZE) + 1];
    snprintf(old, sizeof(old), "08011260%s%s", &SPEC_PRIVATE[8], SPEC_PUBLIC_HALF);
    assert_int_equal(decode_private(old, &secret), 0);
    old[sizeof(old) - 2] = '0';
    assert_int_equal(decode_private(old, &secret), PLASM_UNTRUSTED);
    /* A public half that is not the seed's. */
    hex[sizeof(hex) - 2] = '0';
    assert_int_equal(decode_private(hex, &secret), PLASM_UNTRUSTED);
    assert_int_equal(decode_private("0801", &secret), PLASM_MALFORMED);
    assert_int_equal(decode_private("08011200", &secret), PLASM_MALFORMED);
    assert_int_equal(
        decode_private("0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb",
                       &secret),
        PLASM_UNSUPPORTED);
}

static int decode_public(const char *hex) {
    struct bytes protobuf = vectors_hex(hex);
    struct public_key key;
    int error = public_key_decode(protobuf, &key);
    vectors_free(protobuf);
    return error;
}

#define KEY32 "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

static void bad_public_keys(void **state) {
    (void)state;
    assert_int_equal(decode_public("08011220" KEY32), 0);
    assert_int_equal(decode_public(""), PLASM_MALFORMED);
    assert_int_equal(decode_public("1220" KEY32), PLASM_MALFORMED);            /* no type */
    assert_int_equal(decode_public("0801"), PLASM_MALFORMED);                  /* no data */
    assert_int_equal(decode_public("1220" KEY32 "0801"), PLASM_MALFORMED);     /* order */
    assert_int_equal(decode_public("0881001220" KEY32), PLASM_MALFORMED);      /* not minimal */
    assert_int_equal(decode_public("08011220" KEY32 "1801"), PLASM_MALFORMED); /* a third */
    assert_int_equal(decode_public("080108011220" KEY32), PLASM_MALFORMED);    /* twice */
    assert_int_equal(decode_public("08041220" KEY32), PLASM_UNSUPPORTED);      /* type 4 */
    assert_int_equal(decode_public("08011221" KEY32 "00"), PLASM_MALFORMED);   /* 33 bytes */
    assert_int_equal(decode_public("08021220" KEY32), PLASM_MALFORMED);        /* 32 bytes */
    assert_int_equal(decode_public("0d010000001220" KEY32), PLASM_MALFORMED);  /* fixed32 */
    uint8_t large[KEY_DATA_MAX + 16] = {0x08, 0x00, 0x12, 0xcd, 0x08};         /* 1101 bytes */
    struct public_key key;
    assert_int_equal(public_key_decode(bytes_of(large, 5 + 1101), &key), PLASM_TOO_LARGE);
    /* An EC key that calls itself RSA has another id: it must not verify. */
    assert_int_equal(decode_public("0800125b3059301306072a8648ce3d020106082a8648ce3d0301070342000"
                                   "4de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda"
                                   "020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77"
                                   "c409e62"),
                     0);
    struct bytes protobuf =
        vectors_hex("0800125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0"
                    "e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c"
                    "098e5c47c646a597fb4dcec034e9f77c409e62");
    assert_int_equal(public_key_decode(protobuf, &key), 0);
    assert_int_equal(public_key_verify(&key, BYTES_LITERAL("x"), BYTES_LITERAL("y")),
                     PLASM_MALFORMED);
    vectors_free(protobuf);
}

/* libp2p/specs 7740c07, peer-ids/peer-ids.md, "Decoding", examples; the last CID was made by
 * go-libp2p v0.51.0, peer.ToCid. */
static void peer_id_texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *base58;
    } same[] = {
        {"bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
         "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"},
        {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
         "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"},
        {"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
         "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"},
        {"bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6",
         "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
    };
    struct peer_id id;
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        assert_int_equal(peer_id_parse(bytes_of_string(same[i].text), &id), 0);
        char text[PEER_ID_TEXT_MAX];
        peer_id_format(&id, text);
        assert_string_equal(text, same[i].base58);
    }
    static const struct {
        const char *text;
        int error;
    } wrong[] = {
        {"", PLASM_MALFORMED},
        {"1", PLASM_MALFORMED},
        {"Qm", PLASM_MALFORMED},
        {"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S0", PLASM_MALFORMED},
        {"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SAAAAAAAAAAAAA", PLASM_MALFORMED},
        {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5", PLASM_MALFORMED},
        /* a CID of content, not of a key */
        {"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", PLASM_MALFORMED},
        {"kaaaa", PLASM_UNSUPPORTED},
        {"xyz", PLASM_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(peer_id_parse(bytes_of_string(wrong[i].text), &id), wrong[i].error);
    }
    char long_text[400];
    memset(long_text, '1', sizeof(long_text));
    assert_int_equal(peer_id_parse(bytes_of(long_text, sizeof(long_text)), &id), PLASM_MALFORMED);
}

static void peer_id_binary(void **state) {
    (void)state;
    struct peer_id id;
    uint8_t identity[2 + 43] = {0x00, 42};
    assert_int_equal(peer_id_decode(bytes_of(identity, 44), &id), 0);
    assert_int_equal(id.size, 44);
    char text[PEER_ID_TEXT_MAX];
    peer_id_format(&id, text);
    memset(identity + 2, 0xff, 42);
    assert_int_equal(peer_id_decode(bytes_of(identity, 44), &id), 0);
    peer_id_format(&id, text);
    identity[1] = 43;
    assert_int_equal(peer_id_decode(bytes_of(identity, 45), &id), PLASM_MALFORMED);
    identity[1] = 0;
    assert_int_equal(peer_id_decode(bytes_of(identity, 2), &id), PLASM_MALFORMED);
    uint8_t hashed[34] = {0x12, 32};
    assert_int_equal(peer_id_decode(bytes_of(hashed, 34), &id), 0);
    struct public_key key;
    assert_int_equal(peer_id_key(&id, &key), PLASM_NOT_FOUND);
    assert_int_equal(peer_id_decode(bytes_of(hashed, 33), &id), PLASM_MALFORMED);
    hashed[0] = 0x13;
    assert_int_equal(peer_id_decode(bytes_of(hashed, 34), &id), PLASM_MALFORMED);
    struct peer_id none = {0};
    assert_int_equal(peer_id_key(&none, &key), PLASM_MALFORMED);
    key = (struct public_key){.type = KEY_ED25519, .size = 32};
    assert_int_equal(peer_id_check(&none, &key), PLASM_UNTRUSTED);
}

static int start(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),         cmocka_unit_test(private_keys),
        cmocka_unit_test(bad_public_keys), cmocka_unit_test(peer_id_texts),
        cmocka_unit_test(peer_id_binary),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
