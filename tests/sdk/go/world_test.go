// Package sdk judges the local world by Microsoft's own clients: what they refuse, the world got wrong.
//
// The clients are used as they come. They reach https://NAME.vault.azure.net and https://login.microsoftonline.com
// through the world's proxy (HTTPS_PROXY) and trust its certificate authority (SSL_CERT_FILE); tests/sdk/run sets both.
package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// scene is tests/sdk/scene.json: who and what there is in the world.
var scene struct {
	Tenant     string
	Identities map[string]struct{ Client, Secret string }
	Vaults     map[string]struct{ Name string }
	Keys       map[string]string
	// Certificates by the format of their secret.
	Certificates map[string]string
}

// tokens is the folder of the assertions, NAME.jwt each.
var tokens string

func TestMain(m *testing.M) {
	path := os.Getenv("KVSYNC_SDK_SCENE")
	tokens = os.Getenv("KVSYNC_SDK_TOKENS")
	if path == "" || tokens == "" || os.Getenv("HTTPS_PROXY") == "" || os.Getenv("SSL_CERT_FILE") == "" {
		fmt.Fprintln(os.Stderr, "these tests need a running world: start them by tests/sdk/run")
		os.Exit(2)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &scene)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot read the scene:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// credential presents the assertion NAME.jwt for the identity of the scene.
func credential(t *testing.T, identity, assertion string) *azidentity.WorkloadIdentityCredential {
	t.Helper()
	return credentialOf(t, scene.Tenant, scene.Identities[identity].Client, assertion)
}

func credentialOf(t *testing.T, tenant, client, assertion string) *azidentity.WorkloadIdentityCredential {
	t.Helper()
	cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}},
		TenantID:      tenant,
		ClientID:      client,
		TokenFilePath: filepath.Join(tokens, assertion+".jwt"),
	})
	must(t, err)
	return cred
}

func vaultURL(vault string) string {
	return "https://" + scene.Vaults[vault].Name + ".vault.azure.net"
}

// exchange is one request as the vault saw it, and its answer.
type exchange struct {
	method, path, query string
	withToken           bool
	status              int
	header              http.Header
}

// recorder stands behind the retry and authentication policies: it sees every try.
type recorder struct {
	mu    sync.Mutex
	tries []exchange
}

func (r *recorder) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	raw := req.Raw()
	seen := exchange{method: raw.Method, path: raw.URL.Path, query: raw.URL.RawQuery,
		withToken: raw.Header.Get("Authorization") != ""}
	if err == nil {
		seen.status, seen.header = resp.StatusCode, resp.Header
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, seen)
	return resp, err
}

func (r *recorder) take() []exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	tries := r.tries
	r.tries = nil
	return tries
}

func statuses(tries []exchange) (list []int) {
	for _, try := range tries {
		list = append(list, try.status)
	}
	return list
}

// options: no retries, so that every answer of the world shows.
func options(r *recorder) azcore.ClientOptions {
	o := azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}
	if r != nil {
		o.PerRetryPolicies = []policy.Policy{r}
	}
	return o
}

func secretsClient(t *testing.T, vault, identity string, r *recorder) *azsecrets.Client {
	t.Helper()
	client, err := azsecrets.NewClient(vaultURL(vault), credential(t, identity, identity),
		&azsecrets.ClientOptions{ClientOptions: options(r)})
	must(t, err)
	return client
}

func keysClient(t *testing.T, identity string) *azkeys.Client {
	t.Helper()
	client, err := azkeys.NewClient(vaultURL("main"), credential(t, identity, identity),
		&azkeys.ClientOptions{ClientOptions: options(nil)})
	must(t, err)
	return client
}

func certificatesClient(t *testing.T, identity string) *azcertificates.Client {
	t.Helper()
	client, err := azcertificates.NewClient(vaultURL("main"), credential(t, identity, identity),
		&azcertificates.ClientOptions{ClientOptions: options(nil)})
	must(t, err)
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// present is deref for types whose methods are the pointer's.
func present[T any](t *testing.T, what string, p *T) *T {
	t.Helper()
	deref(t, what, p)
	return p
}

// deref makes an absent member fail the test instead of the process.
func deref[T any](t *testing.T, what string, p *T) T {
	t.Helper()
	if p == nil {
		t.Fatalf("%s is absent", what)
	}
	return *p
}

// refused asserts what the SDK surfaces of a service error: status, its code, and the innermost code of the body
// ("" where there is none).
func refused(t *testing.T, err error, status int, code, inner string) string {
	t.Helper()
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		t.Fatalf("want a service error %d %s, got %v", status, code, err)
	}
	expect(t, "status", answer.StatusCode, status)
	expect(t, "code", answer.ErrorCode, code)
	text, readErr := io.ReadAll(answer.RawResponse.Body)
	must(t, readErr)
	var body struct {
		Error struct {
			Code, Message string
			Innererror    struct{ Code string }
		}
	}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("the error body is not JSON: %v: %q", err, text)
	}
	expect(t, "code in the body", body.Error.Code, code)
	expect(t, "inner code", body.Error.Innererror.Code, inner)
	if body.Error.Message == "" {
		t.Error("no message for people")
	}
	return body.Error.Message
}

// eventually repeats until the service has caught up with an earlier call: it takes 10 to 20 s after a delete.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %v", what, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// unique names an object that no earlier run in the same world has touched.
func unique(stem string) string {
	return fmt.Sprintf("%s-%x", strings.ToLower(stem), time.Now().UnixNano())
}
