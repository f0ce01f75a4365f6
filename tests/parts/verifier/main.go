// Go's verifier, as its TLS uses it: whether a chain is good for a name, or for a client.
//
//	go-verifier AUTHORITY CHAIN NAME    the files are PEM; without a name (""), it is a client's
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func main() {
	if err := verify(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func verify(authority, chain, name string) error {
	roots := x509.NewCertPool()
	trusted, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	if !roots.AppendCertsFromPEM(trusted) {
		return fmt.Errorf("%s has no certificate", authority)
	}
	shown, err := certificates(chain)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, one := range shown[1:] {
		between.AddCert(one)
	}
	usage := x509.ExtKeyUsageServerAuth
	if name == "" {
		usage = x509.ExtKeyUsageClientAuth
	}
	_, err = shown[0].Verify(x509.VerifyOptions{
		DNSName:       name,
		Roots:         roots,
		Intermediates: between,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

func certificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return found, nil
}
