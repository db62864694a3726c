/* Tests of multihashes and content identifiers. */
#include "wire/multihash.h"

#include "crypto/hash.h"
#include "crypto/sign.h"
#include "util/testing.h"
#include "wire/multibase.h"

static int start(void **state) {
    (void)state;
    return crypto_init();
}

static struct multihash read_whole(struct bytes bytes, int *ret_error) {
    struct cursor cursor = cursor_of(bytes);
    struct multihash hash = multihash_read(&cursor);
    *ret_error = cursor.error;
    if (cursor.error == 0) {
        assert_int_equal(cursor.left.size, 0);
    }
    return hash;
}

static void reads_and_writes(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        uint64_t code;
        size_t digest_size;
    } vectors[] = {
        {"0000", MULTIHASH_IDENTITY, 0},
        {"0003616263", MULTIHASH_IDENTITY, 3},
        /* sha1 and a shortened sha2-256 of "abc" (digests from FIPS 180-4's examples) */
        {"1114a9993e364706816aba3e25717850c26c9cd0d89d", 0x11, 20},
        {"120aba7816bf8f01cfea4141", MULTIHASH_SHA2_256, 10},
        {"1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", MULTIHASH_SHA2_256,
         32},
        /* blake2b-256, whose code takes three bytes, of "abc" (Python's hashlib) */
        {"a0e40220bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319", 0xb220, 32},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct bytes coded = test_hex(vectors[i].hex);
        int error;
        struct multihash hash = read_whole(coded, &error);
        assert_int_equal(error, 0);
        assert_true(hash.code == vectors[i].code);
        assert_int_equal(hash.digest.size, vectors[i].digest_size);
        uint8_t room[MULTIHASH_SIZE_MAX];
        struct writer writer = writer_of(test_span(room, sizeof(room)));
        multihash_write(&writer, hash.code, hash.digest);
        assert_int_equal(writer.error, 0);
        assert_bytes_equal(writer_bytes(&writer), coded);
        for (size_t size = 0; size < coded.size; size++) {
            writer = writer_of(test_span(room, size));
            multihash_write(&writer, hash.code, hash.digest);
            assert_int_equal(writer.error, PLASM_TOO_LARGE);
            struct multihash cut = read_whole(test_copy(bytes_slice(coded, 0, size)), &error);
            assert_int_equal(error, PLASM_TRUNCATED);
            assert_int_equal(cut.digest.size, 0);
        }
    }
}

static void leaves_what_follows(void **state) {
    (void)state;
    struct cursor cursor = cursor_of(test_hex("0001aa1201bb"));
    assert_bytes_equal(multihash_read(&cursor).digest, test_hex("aa"));
    assert_bytes_equal(multihash_read(&cursor).digest, test_hex("bb"));
    assert_int_equal(cursor.error, 0);
    assert_int_equal(cursor.left.size, 0);
}

static void longest_code_and_digest_fit_the_bound(void **state) {
    (void)state;
    uint8_t digest[MULTIHASH_DIGEST_MAX + 1] = {0};
    uint8_t room[MULTIHASH_SIZE_MAX + 1];
    struct writer writer = writer_of(test_span(room, MULTIHASH_SIZE_MAX));
    multihash_write(&writer, UINT64_MAX >> 1, bytes_of(digest, MULTIHASH_DIGEST_MAX));
    assert_int_equal(writer.error, 0);
    assert_int_equal(writer.size, MULTIHASH_SIZE_MAX);
    int error;
    struct multihash hash = read_whole(writer_bytes(&writer), &error);
    assert_int_equal(error, 0);
    assert_int_equal(hash.digest.size, MULTIHASH_DIGEST_MAX);
    writer = writer_of(test_span(room, sizeof(room)));
    multihash_write(&writer, MULTIHASH_IDENTITY, BYTES_ARRAY(digest));
    (void)read_whole(writer_bytes(&writer), &error);
    assert_int_equal(error, PLASM_TOO_LARGE);
    (void)read_whole(test_hex("12ffffffffffffffff7f00"), &error);
    assert_int_equal(error, PLASM_TOO_LARGE);
    (void)read_whole(test_hex("12810000"), &error);
    assert_int_equal(error, PLASM_MALFORMED);
    (void)read_whole(test_hex("92000161"), &error);
    assert_int_equal(error, PLASM_MALFORMED);
}

/* Computed with Python's hashlib. */
static void content_keys_of_the_tags(void **state) {
    (void)state;
    static const struct {
        const char *tag;
        const char *key;
    } vectors[] = {
        {"phase:worker:v1", "1220e7c2f3e9acf907cd582d668132cc407fa1ec6652ef68e7c9bc4f293d1d7e515d"},
        {"phase:arch:x86_64",
         "1220b37ca59c91ec48d9f07053965ab441a7633e8c4fa9c61931640bed10488c4a3a"},
        {"phase:runtime:wasmtime-48",
         "1220477efb31023340e0cae22ad1f951df29371bbf74f38920a0eb8007cbb2a28f73"},
        {"", "1220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        uint8_t key[CONTENT_KEY_SIZE];
        content_key(bytes_of_string(vectors[i].tag), key);
        assert_bytes_equal(BYTES_ARRAY(key), test_hex(vectors[i].key));
    }
}

static struct bytes decode_text(const char *text) {
    uint8_t room[CID_SIZE_MAX];
    size_t size = 0;
    struct span span = test_span(room, sizeof(room));
    int error = text[0] == 'Q' ? base58_decode(bytes_of_string(text), span, &size)
                               : multibase_decode(bytes_of_string(text), span, &size);
    assert_int_equal(error, 0);
    return test_copy(bytes_of(room, size));
}

static void cids_to_multihashes(void **state) {
    (void)state;
    struct bytes multihash;
    /* multiformats/cid, README.md: cidv1, raw, sha2-256, with the digest given there. */
    struct bytes cid = decode_text("zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA");
    assert_int_equal(cid_multihash(cid, &multihash), 0);
    assert_bytes_equal(
        multihash,
        test_hex("12206e6ff7950a36187a801613426e858dce686cd7d7e3c0fc42ee0330072d245c95"));
    assert_ptr_equal(multihash.data, cid.data + 2);
    /* Version 0: the multihash itself. */
    cid = decode_text("QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC");
    assert_int_equal(cid_multihash(cid, &multihash), 0);
    assert_bytes_equal(multihash, cid);
    /* Of a tag, as other implementations announce it. */
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("phase:worker:v1"), key);
    uint8_t tag_cid[2 + CONTENT_KEY_SIZE] = {1, 0x55};
    memcpy(tag_cid + 2, key, sizeof(key));
    assert_int_equal(cid_multihash(BYTES_ARRAY(tag_cid), &multihash), 0);
    assert_bytes_equal(multihash, BYTES_ARRAY(key));
    /* A codec of several bytes, and another hash. */
    assert_int_equal(cid_multihash(test_hex("01ed010001aa"), &multihash), 0);
    assert_bytes_equal(multihash, test_hex("0001aa"));
}

static void refuses_bad_cids(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "01",
        "0155",
        "015512",
        "01550001",     /* the digest is missing */
        "01550001aabb", /* bytes after it */
        "00550001aa",   /* version 0 in this form */
        "02550001aa",   /* reserved */
        "03550001aa",   /* reserved */
        "8100550001aa", /* version 1, not minimal */
        "01d5000001aa", /* codec not minimal */
        "1220",         /* version 0 cut */
        "120100",       /* version 0 with a short digest */
        "12210000000000000000000000000000000000000000000000000000000000000000",
        "1220000000000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct bytes multihash = bytes_of(NULL, 77);
        int error = cid_multihash(test_hex(bad[i]), &multihash);
        if (error != PLASM_MALFORMED || multihash.size != 77) {
            fail_msg("%s: %d", bad[i], error);
        }
    }
    struct bytes cid = decode_text("zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA");
    for (size_t size = 0; size < cid.size; size++) {
        struct bytes multihash;
        assert_int_equal(cid_multihash(test_copy(bytes_slice(cid, 0, size)), &multihash),
                         PLASM_MALFORMED);
    }
    uint8_t big[2 + 3 + 200] = {0x01, 0x55, 0x00, 0xc8, 0x01};
    struct bytes multihash;
    assert_int_equal(cid_multihash(BYTES_ARRAY(big), &multihash), PLASM_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(leaves_what_follows),
        cmocka_unit_test(longest_code_and_digest_fit_the_bound),
        cmocka_unit_test(content_keys_of_the_tags),
        cmocka_unit_test(cids_to_multihashes),
        cmocka_unit_test(refuses_bad_cids),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
