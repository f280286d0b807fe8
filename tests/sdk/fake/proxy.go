package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const vaultSuffix = ".vault.azure.net"

// tunnels is a listener whose connections come out of CONNECT requests.
type tunnels struct {
	address net.Addr
	accept  chan net.Conn
}

func (t *tunnels) Accept() (net.Conn, error) { return <-t.accept, nil }
func (t *tunnels) Close() error              { return nil }
func (t *tunnels) Addr() net.Addr            { return t.address }

// startProxy listens on a free port of the loopback and answers below the suffix of vaults by handler, over TLS and
// HTTP/1.1 as Key Vault does.
func startProxy(handler http.Handler, caPath string) (net.Listener, error) {
	certificate, ca, err := makeCertificate()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(caPath, ca, 0o600); err != nil {
		return nil, err
	}
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	inner := &tunnels{address: proxy.Addr(), accept: make(chan net.Conn)}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	go func() { _ = (&http.Server{Handler: handler}).Serve(tls.NewListener(inner, config)) }()
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			go connect(conn, inner)
		}
	}()
	return proxy, nil
}

// connect reads one CONNECT request and hands its connection on.
func connect(conn net.Conn, inner *tunnels) {
	reader := bufio.NewReader(conn)
	req, err := http.ReadRequest(reader)
	if err == nil && (req.Method != http.MethodConnect || !strings.HasSuffix(req.Host, vaultSuffix+":443")) {
		err = errors.New("only CONNECT NAME" + vaultSuffix + ":443 is served here")
	}
	if err == nil && reader.Buffered() > 0 {
		err = errors.New("bytes before the tunnel was open")
	}
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n%v\n", err)
		conn.Close()
		return
	}
	if _, err := fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		conn.Close()
		return
	}
	inner.accept <- conn
}

// makeCertificate makes an authority and a certificate for every vault, both for this process alone.
func makeCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kvsync tests: fake Key Vault"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "vault.azure.net"}, DNSNames: []string{"*" + vaultSuffix},
		NotBefore: template.NotBefore, NotAfter: template.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, template, &leafKey.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}), nil
}
