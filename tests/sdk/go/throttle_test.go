package sdk

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// The vault "tight" has a small limit of calls in any 10 s.
func TestThrottled(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	hasty := secretsClient(t, "tight", "officer", seen)
	name := unique("hot")
	set(t, hasty, name, "v")
	var err error
	for range 50 {
		if _, err = hasty.GetSecret(t.Context(), name, "", nil); err != nil {
			break
		}
	}
	refused(t, err, 429, "Throttled", "")
	tries := seen.take()
	expect(t, "Retry-After of a 429", tries[len(tries)-1].header.Get("Retry-After"), "")

	// The SDK's own retries, with their pace and nothing else set, outlive the window.
	patient, err := azsecrets.NewClient(vaultURL("tight"), credential(t, "officer", "officer"),
		&azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{
			Retry:            policy.RetryOptions{MaxRetries: 8, RetryDelay: time.Second, MaxRetryDelay: 4 * time.Second},
			PerRetryPolicies: []policy.Policy{seen},
		}})
	must(t, err)
	secret := get(t, patient, name, "")
	expect(t, "value after retries", *secret.Value, "v")
	tries = seen.take()
	throttled := 0
	for _, try := range tries {
		if try.status == 429 {
			throttled++
		}
	}
	if throttled == 0 {
		t.Errorf("the SDK never met a 429: %v", statuses(tries))
	}
	expect(t, "last status", tries[len(tries)-1].status, 200)
	t.Logf("the SDK's tries: %v", statuses(tries))
}
