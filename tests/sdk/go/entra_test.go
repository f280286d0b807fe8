package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

const vaultScope = "https://vault.azure.net/.default"

func TestToken(t *testing.T) {
	cred := credential(t, "officer", "officer")
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{vaultScope}})
	must(t, err)
	if len(token.Token) < 100 {
		t.Errorf("a token of %d bytes", len(token.Token))
	}
	if life := time.Until(token.ExpiresOn); life < 59*time.Minute || life > 60*time.Minute {
		t.Errorf("the token lives for %v", life)
	}
}

func TestTokenErrors(t *testing.T) {
	const stranger = "0f0c0009-5d1e-4c8b-8f0a-5e1d9b3a7009"
	officer := scene.Identities["officer"].Client
	for _, c := range []struct {
		what, tenant, client, assertion, scope string
		number, status                         int
	}{
		{"subject of another identity", scene.Tenant, officer, "reader", vaultScope, 700213, 401},
		{"unknown issuer", scene.Tenant, officer, "other-issuer", vaultScope, 700211, 401},
		{"wrong audience", scene.Tenant, officer, "other-audience", vaultScope, 700212, 401},
		{"expired assertion", scene.Tenant, officer, "expired", vaultScope, 700024, 401},
		{"signature by another key", scene.Tenant, officer, "other-key", vaultScope, 700027, 401},
		{"unknown client", scene.Tenant, stranger, "officer", vaultScope, 700016, 400},
		{"unknown tenant", stranger, officer, "officer", vaultScope, 90002, 400},
		{"unknown resource", scene.Tenant, officer, "officer", "https://vault.example/.default", 500011, 400},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
			cred := credentialOf(t, c.tenant, c.client, c.assertion)
			_, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{c.scope}})
			if err == nil {
				t.Fatal("Entra gave a token")
			}
			code := fmt.Sprintf("AADSTS%d", c.number)
			if !strings.Contains(err.Error(), code) {
				t.Fatalf("want %s, got: %v", code, err)
			}
			var failed *azidentity.AuthenticationFailedError
			if !errors.As(err, &failed) {
				t.Fatalf("not an authentication failure: %T", err)
			}
			if failed.RawResponse != nil {
				expect(t, "status", failed.RawResponse.StatusCode, c.status)
			} else if c.what != "unknown tenant" { // found at discovery, where the SDK keeps no answer
				t.Error("the SDK holds no answer of Entra")
			}
		})
	}
}

// junk is a credential whose token the vault cannot accept.
type junk struct{}

func (junk) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: strings.Repeat("x", 1200), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestRefusedToken(t *testing.T) {
	seen := &recorder{}
	client, err := azsecrets.NewClient(vaultURL("main"), junk{}, &azsecrets.ClientOptions{ClientOptions: options(seen)})
	must(t, err)
	_, err = client.GetSecret(t.Context(), "any", "", nil)
	refused(t, err, 401, "Unauthorized", "")
	tries := seen.take()
	// Challenged, and challenged again when the token was refused: no loop.
	if got := statuses(tries); !slices.Equal(got, []int{401, 401}) {
		t.Fatalf("statuses %v", got)
	}
	expect(t, "token on the second try", tries[1].withToken, true)
	if tries[1].header.Get("WWW-Authenticate") == "" {
		t.Error("no challenge with the refusal of a token")
	}
}
