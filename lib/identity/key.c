/* The protobuf forms of libp2p's keys, and verifying with each type. */
#include "identity/key.h"

#include "identity/der.h"
#include "util/ensure.h"
#include "wire/protobuf.h"

enum { FIELD_TYPE = 1, FIELD_DATA = 2 };

#define SECP256K1_KEY_SIZE 33
/* The older form of an Ed25519 private key repeats the public key. */
#define ED25519_PRIVATE_SIZE     (ED25519_SEED_SIZE + ED25519_PUBLIC_SIZE)
#define ED25519_PRIVATE_SIZE_OLD (ED25519_PRIVATE_SIZE + ED25519_PUBLIC_SIZE)

/* The two fields, both there and nothing else. */
static int key_fields(struct bytes protobuf, uint64_t *ret_type, struct bytes *ret_data) {
    struct cursor message = cursor_of(protobuf);
    struct protobuf_field field;
    bool has_type = false;
    bool has_data = false;
    while (protobuf_next(&message, &field)) {
        if (field.number == FIELD_TYPE && !has_type) {
            *ret_type = protobuf_varint(&message, &field);
            has_type = true;
        } else if (field.number == FIELD_DATA && !has_data) {
            *ret_data = protobuf_bytes(&message, &field);
            has_data = true;
        } else {
            return PLASM_MALFORMED;
        }
    }
    return message.error == 0 && has_type && has_data ? 0 : PLASM_MALFORMED;
}

int public_key_decode(struct bytes protobuf, struct public_key *ret_key) {
    uint64_t type = 0;
    struct bytes data = {0};
    int error = key_fields(protobuf, &type, &data);
    if (error != 0) {
        return error;
    }
    if (type > KEY_ECDSA) {
        return PLASM_UNSUPPORTED;
    }
    if (data.size > KEY_DATA_MAX) {
        return PLASM_TOO_LARGE;
    }
    if ((type == KEY_ED25519 && data.size != ED25519_PUBLIC_SIZE) ||
        (type == KEY_SECP256K1 && data.size != SECP256K1_KEY_SIZE) || data.size == 0) {
        return PLASM_MALFORMED;
    }
    /* The encoding must be the one that gives the peer id: one key, one id. */
    uint8_t room[KEY_ENCODED_MAX];
    struct writer writer = writer_of((struct span){.data = room, .size = sizeof(room)});
    protobuf_put_varint(&writer, FIELD_TYPE, type);
    protobuf_put_bytes(&writer, FIELD_DATA, data);
    ENSURE(writer.error == 0);
    if (!bytes_equal(writer_bytes(&writer), protobuf)) {
        return PLASM_MALFORMED;
    }
    ret_key->type = (enum key_type)type;
    ret_key->size = (uint16_t)data.size;
    memcpy(ret_key->data, data.data, data.size);
    return 0;
}

void public_key_encode(const struct public_key *key, struct writer *writer) {
    protobuf_put_varint(writer, FIELD_TYPE, key->type);
    protobuf_put_bytes(writer, FIELD_DATA, bytes_of(key->data, key->size));
}

/* The key type is part of the identity: a key of one type must not pass for another. */
static int check_spki_type(struct bytes spki, enum key_type type) {
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    static const uint8_t ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    struct cursor der = cursor_of(spki);
    struct cursor info = der_enter(&der, DER_SEQUENCE);
    struct cursor algorithm = der_enter(&info, DER_SEQUENCE);
    struct bytes oid = der_expect(&algorithm, DER_OID).content;
    struct bytes wanted = type == KEY_RSA ? BYTES_ARRAY(rsa) : BYTES_ARRAY(ec);
    return algorithm.error == 0 && bytes_equal(oid, wanted) ? 0 : PLASM_MALFORMED;
}

int public_key_verify(const struct public_key *key, struct bytes message, struct bytes signature) {
    struct bytes data = bytes_of(key->data, key->size);
    int error;
    switch (key->type) {
    case KEY_ED25519:
        return key->size == ED25519_PUBLIC_SIZE ? ed25519_verify(key->data, message, signature)
                                                : PLASM_MALFORMED;
    case KEY_SECP256K1:
        return secp256k1_verify(data, message, signature);
    case KEY_RSA:
    case KEY_ECDSA:
        error = check_spki_type(data, key->type);
        return error != 0 ? error : spki_verify(data, message, signature);
    }
    return PLASM_UNSUPPORTED;
}

void public_key_from_ed25519(const uint8_t key[ED25519_PUBLIC_SIZE], struct public_key *ret_key) {
    ret_key->type = KEY_ED25519;
    ret_key->size = ED25519_PUBLIC_SIZE;
    memcpy(ret_key->data, key, ED25519_PUBLIC_SIZE);
}

void private_key_encode(const struct ed25519_secret *secret,
                        uint8_t ret_protobuf[PRIVATE_KEY_ENCODED_SIZE]) {
    struct writer writer =
        writer_of((struct span){.data = ret_protobuf, .size = PRIVATE_KEY_ENCODED_SIZE});
    protobuf_put_varint(&writer, FIELD_TYPE, KEY_ED25519);
    protobuf_put_head(&writer, FIELD_DATA, ED25519_PRIVATE_SIZE);
    writer_bytes_put(&writer, BYTES_ARRAY(secret->seed));
    writer_bytes_put(&writer, BYTES_ARRAY(secret->public_key));
    ENSURE(writer.error == 0 && writer.size == PRIVATE_KEY_ENCODED_SIZE);
}

int private_key_decode(struct bytes protobuf, struct ed25519_secret *ret_secret) {
    uint64_t type = 0;
    struct bytes data = {0};
    int error = key_fields(protobuf, &type, &data);
    if (error != 0) {
        return error;
    }
    if (type != KEY_ED25519) {
        return PLASM_UNSUPPORTED;
    }
    if (data.size != ED25519_PRIVATE_SIZE && data.size != ED25519_PRIVATE_SIZE_OLD) {
        return PLASM_MALFORMED;
    }
    struct ed25519_secret secret;
    ed25519_from_seed(&secret, data.data);
    struct bytes derived = BYTES_ARRAY(secret.public_key);
    for (size_t at = ED25519_SEED_SIZE; at < data.size; at += ED25519_PUBLIC_SIZE) {
        if (!bytes_equal(derived, bytes_slice(data, at, ED25519_PUBLIC_SIZE))) {
            error = PLASM_UNTRUSTED;
        }
    }
    if (error == 0) {
        *ret_secret = secret;
    }
    ed25519_done(&secret);
    return error;
}
