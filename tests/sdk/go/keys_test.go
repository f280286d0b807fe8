package sdk

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func TestKeys(t *testing.T) {
	client := keysClient(t, "officer")
	name := scene.Keys["rsa"]
	resp, err := client.GetKey(t.Context(), name, "", nil)
	must(t, err)
	key := resp.Key
	expect(t, "kty", deref(t, "kty", key.Kty), azkeys.KeyTypeRSA)
	expect(t, "name in kid", present(t, "kid", key.KID).Name(), name)
	if !versionID.MatchString(key.KID.Version()) {
		t.Errorf("kid %q", *key.KID)
	}
	if bits := new(big.Int).SetBytes(key.N).BitLen(); bits != 2048 {
		t.Errorf("a modulus of %d bits", bits)
	}
	expect(t, "exponent", new(big.Int).SetBytes(key.E).Int64(), 65537)
	if len(key.KeyOps) == 0 || key.D != nil || key.P != nil {
		t.Errorf("key_ops %v, or a private part", key.KeyOps)
	}
	expect(t, "enabled", deref(t, "enabled", resp.Attributes.Enabled), true)
	deref(t, "created", resp.Attributes.Created)
	same, err := client.GetKey(t.Context(), name, key.KID.Version(), nil)
	must(t, err)
	expect(t, "modulus by version", bytes.Equal(same.Key.N, key.N), true)

	ec, err := client.GetKey(t.Context(), scene.Keys["ec"], "", nil)
	must(t, err)
	expect(t, "kty", deref(t, "kty", ec.Key.Kty), azkeys.KeyTypeEC)
	expect(t, "crv", deref(t, "crv", ec.Key.Crv), azkeys.CurveNameP256)
	expect(t, "bytes of x and y", len(ec.Key.X)+len(ec.Key.Y), 64) // leading zero octets are kept

	found := map[string]bool{}
	for pager := client.NewListKeyPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		must(t, err)
		for _, row := range page.Value {
			found[present(t, "kid", row.KID).Name()] = true
			expect(t, "version in a list row", row.KID.Version(), "")
		}
	}
	for _, name := range []string{name, scene.Keys["ec"], scene.Certificates["pem"]} {
		expect(t, "key "+name+" is listed", found[name], true)
	}
	page, err := client.NewListKeyPropertiesVersionsPager(name, nil).NextPage(t.Context())
	must(t, err)
	expect(t, "versions", len(page.Value), 1)
	expect(t, "version", page.Value[0].KID.Version(), key.KID.Version())

	_, err = client.GetKey(t.Context(), "no-such-key", "", nil)
	refused(t, err, 404, "KeyNotFound", "")
	page, err = client.NewListKeyPropertiesVersionsPager("no-such-key", nil).NextPage(t.Context())
	must(t, err)
	expect(t, "versions of an unknown key", len(page.Value), 0)
}

func TestDisabledKeyIsReadable(t *testing.T) {
	client := keysClient(t, "officer")
	enable := func(on bool) {
		_, err := client.UpdateKey(t.Context(), scene.Keys["ec"], "", azkeys.UpdateKeyParameters{
			KeyAttributes: &azkeys.KeyAttributes{Enabled: &on}}, nil)
		must(t, err)
	}
	enable(false)
	defer enable(true)
	resp, err := client.GetKey(t.Context(), scene.Keys["ec"], "", nil)
	must(t, err)
	expect(t, "enabled", *resp.Attributes.Enabled, false)
}

func getCertificate(t *testing.T, client *azcertificates.Client, name string) (azcertificates.Certificate,
	*x509.Certificate) {
	t.Helper()
	resp, err := client.GetCertificate(t.Context(), name, "", nil)
	must(t, err)
	parsed, err := x509.ParseCertificate(resp.CER)
	must(t, err)
	return resp.Certificate, parsed
}

func TestCertificates(t *testing.T) {
	client := certificatesClient(t, "officer")
	for format, name := range scene.Certificates {
		certificate, parsed := getCertificate(t, client, name)
		version := present(t, "id", certificate.ID).Version()
		thumbprint := sha1.Sum(certificate.CER)
		expect(t, "thumbprint", bytes.Equal(certificate.X509Thumbprint, thumbprint[:]), true)
		expect(t, "version of its key", present(t, "kid", certificate.KID).Version(), version)
		expect(t, "version of its secret", present(t, "sid", certificate.SID).Version(), version)
		attributes := certificate.Attributes
		expect(t, "not before", deref(t, "nbf", attributes.NotBefore).Unix(), parsed.NotBefore.Unix())
		expect(t, "not after", deref(t, "exp", attributes.Expires).Unix(), parsed.NotAfter.Unix())
		policy := certificate.Policy
		contentType := map[string]string{"pem": "application/x-pem-file", "pfx": "application/x-pkcs12"}[format]
		expect(t, "content type in the policy", deref(t, "contentType", policy.SecretProperties.ContentType), contentType)
		deref(t, "issuer", policy.IssuerParameters.Name)

		secret := get(t, secretsClient(t, "main", "officer", nil), name, "")
		expect(t, "version", secret.ID.Version(), version)
		expect(t, "content type of the secret", deref(t, "contentType", secret.ContentType), contentType)
		expect(t, "managed", deref(t, "managed", secret.Managed), true)
		expect(t, "kid of the secret", string(deref(t, "kid", secret.KID)), string(*certificate.KID))
		if format == "pem" {
			checkPEM(t, *secret.Value, parsed)
		} else if _, err := base64.StdEncoding.DecodeString(*secret.Value); err != nil {
			t.Errorf("the PKCS#12 is not in one line of padded base64: %v", err)
		}
		key, err := keysClient(t, "officer").GetKey(t.Context(), name, version, nil)
		must(t, err)
		expect(t, "managed key", deref(t, "managed", key.Managed), true)
	}

	found := map[string]bool{}
	for pager := client.NewListCertificatePropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		must(t, err)
		for _, row := range page.Value {
			found[row.ID.Name()] = len(row.X509Thumbprint) == sha1.Size
		}
	}
	for _, name := range scene.Certificates {
		expect(t, "certificate "+name+" is listed with a thumbprint", found[name], true)
	}
	_, err := client.GetCertificate(t.Context(), "no-such-certificate", "", nil)
	refused(t, err, 404, "CertificateNotFound", "")
	page, err := client.NewListCertificatePropertiesVersionsPager(scene.Certificates["pem"], nil).NextPage(t.Context())
	must(t, err)
	expect(t, "versions", len(page.Value), 1)
}

// checkPEM: the private key stands first, then its certificate.
func checkPEM(t *testing.T, text string, certificate *x509.Certificate) {
	t.Helper()
	first, rest := pem.Decode([]byte(text))
	if first == nil || first.Type != "PRIVATE KEY" || !strings.HasPrefix(text, "-----BEGIN") {
		t.Fatal("the PEM does not start with a PKCS#8 private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(first.Bytes)
	must(t, err)
	second, rest := pem.Decode(rest)
	if second == nil || second.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatal("the PEM does not end with one certificate")
	}
	expect(t, "certificate in the PEM", bytes.Equal(second.Bytes, certificate.Raw), true)
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("a private key of type %T", key)
	}
	expect(t, "the key fits the certificate", private.PublicKey.Equal(certificate.PublicKey), true)
}

func TestDisabledCertificateIsReadable(t *testing.T) {
	client := certificatesClient(t, "officer")
	name := scene.Certificates["pfx"]
	enable := func(on bool) {
		_, err := client.UpdateCertificate(t.Context(), name, "", azcertificates.UpdateCertificateParameters{
			CertificateAttributes: &azcertificates.CertificateAttributes{Enabled: to.Ptr(on)}}, nil)
		must(t, err)
	}
	enable(false)
	defer enable(true)
	certificate, _ := getCertificate(t, client, name)
	expect(t, "enabled", *certificate.Attributes.Enabled, false)
}
