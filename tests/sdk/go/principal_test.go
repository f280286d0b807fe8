package sdk

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// readWith reads the newest version of a secret that the officer wrote.
func readWith(t *testing.T, cred azcore.TokenCredential, name string) {
	t.Helper()
	value := "value of " + name
	writer, err := azsecrets.NewClient(vaultURL("main"), credential(t, "officer", "officer"), nil)
	must(t, err)
	_, err = writer.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: &value}, nil)
	must(t, err)
	reader, err := azsecrets.NewClient(vaultURL("main"), cred, nil)
	must(t, err)
	secret, err := reader.GetSecret(t.Context(), name, "", nil)
	must(t, err)
	if *secret.Value != value {
		t.Errorf("want %q, got %q", value, *secret.Value)
	}
}

func principal(t *testing.T, secret string) *azidentity.ClientSecretCredential {
	t.Helper()
	cred, err := azidentity.NewClientSecretCredential(scene.Tenant, scene.Identities["principal"].Client, secret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}})
	must(t, err)
	return cred
}

func TestClientSecret(t *testing.T) {
	readWith(t, principal(t, scene.Identities["principal"].Secret), "for-the-principal")
}

func TestClientSecretIsWrong(t *testing.T) {
	cred := principal(t, scene.Identities["principal"].Secret+"\n")
	_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}})
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Fatalf("want AADSTS7000215, got: %v", err)
	}
	if failed.RawResponse.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", failed.RawResponse.StatusCode)
	}
}

// node sends what is meant for the metadata service of a machine to the world's.
type node struct{ port string }

func (n node) Do(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "169.254.169.254" {
		there := *req.URL
		there.Host = "127.0.0.1:" + n.port
		req = req.Clone(req.Context())
		req.URL, req.Host = &there, "169.254.169.254"
	}
	return (&http.Client{Transport: &http.Transport{}}).Do(req)
}

func machine(t *testing.T, client string) *azidentity.ManagedIdentityCredential {
	t.Helper()
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: azcore.ClientOptions{
		Retry: policy.RetryOptions{MaxRetries: -1}, Transport: node{os.Getenv("KVSYNC_SDK_IMDS_PORT")}}}
	if client != "" {
		options.ID = azidentity.ClientID(client)
	}
	cred, err := azidentity.NewManagedIdentityCredential(options)
	must(t, err)
	return cred
}

func TestManagedIdentity(t *testing.T) {
	readWith(t, machine(t, scene.Identities["machine"].Client), "for-the-machine")
	cred := machine(t, "")
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}})
	must(t, err)
	if life := time.Until(token.ExpiresOn); life < 23*time.Hour || life > 24*time.Hour {
		t.Errorf("the token lives for %v", life)
	}
}

func TestManagedIdentityIsNotAssigned(t *testing.T) {
	cred := machine(t, scene.Identities["reader"].Client)
	_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}})
	if err == nil || !strings.Contains(err.Error(), "Identity not found") {
		t.Fatalf("want that the identity is not found, got: %v", err)
	}
}
