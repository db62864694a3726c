//go:build ignore

// Makes pk.txt: public keys as go-libp2p keeps them in the DHT, each accepted or refused by
// go-libp2p-record's own validator. Run where its module is:
//
//	cd tests/interop/go && go run ../../../lib/proto/kad/vectors/make_pk.go
package main

import (
	"fmt"
	"math/rand"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func line(name string, key string, value []byte) {
	verdict := "refused"
	if (record.PublicKeyValidator{}).Validate(key, value) == nil {
		verdict = "valid"
	}
	fmt.Printf("%s %s %x %x\n", name, verdict, key, value)
}

func main() {
	random := rand.New(rand.NewSource(1))
	kinds := []struct {
		name string
		kind int
		bits int
	}{{"ed25519", crypto.Ed25519, 0}, {"rsa", crypto.RSA, 2048}, {"secp256k1", crypto.Secp256k1, 0},
		{"ecdsa", crypto.ECDSA, 0}}
	var other string
	for _, kind := range kinds {
		_, public, err := crypto.GenerateKeyPairWithReader(kind.kind, kind.bits, random)
		if err != nil {
			panic(err)
		}
		id, err := peer.IDFromPublicKey(public)
		if err != nil {
			panic(err)
		}
		value, err := crypto.MarshalPublicKey(public)
		if err != nil {
			panic(err)
		}
		key := "/pk/" + string(id)
		line(kind.name, key, value)
		line(kind.name+"-cut", key, value[:len(value)-1])
		if other != "" {
			line(kind.name+"-of-another", other, value)
		}
		line(kind.name+"-without-id", "/pk/", value)
		other = key
	}
}
