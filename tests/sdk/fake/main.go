// Command fake serves Microsoft's own fakes of Key Vault (the fake packages of azsecrets, azkeys and azcertificates) over
// HTTPS, behind a CONNECT proxy of its own: every NAME.vault.azure.net is answered here.
//
//	fake -objects objects.json -ca ca.pem
//
// It writes its certificate authority to ca.pem, prints the proxy's URL on a line, and serves until its input ends.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
)

// version is what a fake is told of one version of an object.
type version struct {
	ID          string
	Value       string // secret: its value; key: the modulus; certificate: the DER
	Repeat      int    // the value is repeated so often; 0: once
	Created     int64
	NotBefore   int64 // 0: not set, as Expires
	Expires     int64
	Enabled     *bool
	ContentType string
	Certificate bool // the secret is backed by a certificate
}

type object struct {
	Name     string
	PageSize int       // versions on a page; 0: all
	Cut      bool      // after the first page of the versions comes 429 instead of the second
	Versions []version // in the order of the list; the last is the current one
}

// failure is an answer to every call for a name. An empty code is left to the SDK's own form: a header, and no body.
type failure struct {
	Name        string
	Status      int
	Code, Inner string
}

type objects struct {
	Secrets, Keys, Certificates []object
	Errors                      []failure
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("fake: ")
	objectsPath := flag.String("objects", "", "what the fakes are told (JSON)")
	caPath := flag.String("ca", "", "where to write the certificate authority (PEM)")
	flag.Parse()
	if flag.NArg() > 0 || *objectsPath == "" || *caPath == "" {
		log.Fatal("usage: fake -objects FILE -ca FILE")
	}
	text, err := os.ReadFile(*objectsPath)
	if err != nil {
		log.Fatal(err)
	}
	var told objects
	if err := json.Unmarshal(text, &told); err != nil {
		log.Fatalf("%s: %v", *objectsPath, err)
	}
	proxy, err := startProxy(newHandler(&told), *caPath)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", proxy.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
