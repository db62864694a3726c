// Certificates that a libp2p peer must refuse, and the good one as a control, built by hand.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
)

const (
	bindingPrefix = "libp2p-tls-handshake:"
	alpnLibp2p    = "libp2p"
	alpnForeign   = "h3"
)

var (
	oidLibp2p  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 1, 1}
	oidUnknown = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 99, 1}
)

// flaw is what is wrong with a hostile end. Each flaw is one deviation from the good end.
type flaw struct {
	noExtension      bool
	badBinding       bool // the host key's signature over another certificate key
	badSelfSignature bool
	unknownCritical  bool
	garbageExtension bool
	extensionTwice   bool
	expired          bool
	notYetValid      bool
	retry            bool // no flaw: the server validates every address with a Retry packet
	certificates     int
	alpn             []string
}

// flaws by the name of the kind; "good" is the control that must be accepted.
var flaws = map[string]flaw{
	"good":                     {certificates: 1, alpn: []string{alpnLibp2p}},
	"good_retry":               {certificates: 1, alpn: []string{alpnLibp2p}, retry: true},
	"no_extension":             {certificates: 1, alpn: []string{alpnLibp2p}, noExtension: true},
	"garbage_extension":        {certificates: 1, alpn: []string{alpnLibp2p}, garbageExtension: true},
	"extension_twice":          {certificates: 1, alpn: []string{alpnLibp2p}, extensionTwice: true},
	"unknown_critical":         {certificates: 1, alpn: []string{alpnLibp2p}, unknownCritical: true},
	"expired_certificate":      {certificates: 1, alpn: []string{alpnLibp2p}, expired: true},
	"not_yet_valid":            {certificates: 1, alpn: []string{alpnLibp2p}, notYetValid: true},
	"bad_signature":            {certificates: 1, alpn: []string{alpnLibp2p}, badBinding: true},
	"bad_self_signature":       {certificates: 1, alpn: []string{alpnLibp2p}, badSelfSignature: true},
	"two_certificates":         {certificates: 2, alpn: []string{alpnLibp2p}},
	"no_client_certificate":    {certificates: 0, alpn: []string{alpnLibp2p}},
	"wrong_alpn":               {certificates: 1, alpn: []string{alpnForeign}},
	"no_alpn":                  {certificates: 1},
	"good_among_several_alpns": {certificates: 1, alpn: []string{alpnForeign, alpnLibp2p}},
}

type signedKey struct {
	PublicKey []byte
	Signature []byte
}

// bindingExtension ties the certificate's key to the host key (libp2p TLS spec, "Libp2p Public
// Key Extension").
func bindingExtension(host crypto.PrivKey, spki []byte) (pkix.Extension, error) {
	public, err := crypto.MarshalPublicKey(host.GetPublic())
	if err != nil {
		return pkix.Extension{}, err
	}
	signature, err := host.Sign(append([]byte(bindingPrefix), spki...))
	if err != nil {
		return pkix.Extension{}, err
	}
	value, err := asn1.Marshal(signedKey{PublicKey: public, Signature: signature})
	return pkix.Extension{Id: oidLibp2p, Critical: true, Value: value}, err
}

func (f *flaw) extensions(host crypto.PrivKey, key *ecdsa.PrivateKey) ([]pkix.Extension, error) {
	signed := key
	if f.badBinding {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		signed = other
	}
	spki, err := x509.MarshalPKIXPublicKey(signed.Public())
	if err != nil {
		return nil, err
	}
	binding, err := bindingExtension(host, spki)
	if err != nil {
		return nil, err
	}
	list := []pkix.Extension{}
	switch {
	case f.noExtension:
	case f.garbageExtension:
		list = append(list, pkix.Extension{Id: oidLibp2p, Critical: true, Value: []byte("garbage")})
	case f.extensionTwice:
		list = append(list, binding, binding)
	default:
		list = append(list, binding)
	}
	if f.unknownCritical {
		value, err := asn1.Marshal("unknown")
		if err != nil {
			return nil, err
		}
		list = append(list, pkix.Extension{Id: oidUnknown, Critical: true, Value: value})
	}
	return list, nil
}

// certificate makes one self-signed certificate for the host key.
func (f *flaw) certificate(host crypto.PrivKey) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	extensions, err := f.extensions(host, key)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber:    serial,
		Subject:         pkix.Name{SerialNumber: serial.String()},
		NotBefore:       now.Add(-48 * time.Hour),
		NotAfter:        now.Add(10 * 365 * 24 * time.Hour),
		ExtraExtensions: extensions,
	}
	if f.expired {
		template.NotAfter = now.Add(-24 * time.Hour)
	}
	if f.notYetValid {
		template.NotBefore = now.Add(24 * time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	if f.badSelfSignature {
		// The signature is the last element: its last byte is part of the ECDSA value s.
		der[len(der)-1] ^= 1
	}
	return der, key, nil
}

// tlsConfig is the TLS side of an end with this flaw; the other end's certificate is not judged.
func (f *flaw) tlsConfig(host crypto.PrivKey) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		InsecureSkipVerify:     true,
		ClientAuth:             tls.RequireAnyClientCert,
		NextProtos:             f.alpn,
		SessionTicketsDisabled: true,
	}
	if f.certificates == 0 {
		return config, nil
	}
	der, key, err := f.certificate(host)
	if err != nil {
		return nil, err
	}
	chain := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for len(chain.Certificate) < f.certificates {
		extra, _, err := f.certificate(host)
		if err != nil {
			return nil, err
		}
		chain.Certificate = append(chain.Certificate, extra)
	}
	config.Certificates = []tls.Certificate{chain}
	return config, nil
}

func flawOf(kind string) (*flaw, error) {
	f, known := flaws[kind]
	if !known {
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	return &f, nil
}
