package sdk

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

var versionID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func set(t *testing.T, client *azsecrets.Client, name, value string) string {
	t.Helper()
	resp, err := client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: &value}, nil)
	must(t, err)
	version := present(t, "id", resp.ID).Version()
	if !versionID.MatchString(version) {
		t.Fatalf("version id %q is not 32 lower-case hex digits", version)
	}
	return version
}

func get(t *testing.T, client *azsecrets.Client, name, version string) azsecrets.Secret {
	t.Helper()
	resp, err := client.GetSecret(t.Context(), name, version, nil)
	must(t, err)
	return resp.Secret
}

func TestChallenge(t *testing.T) {
	seen := &recorder{}
	client := secretsClient(t, "main", "officer", seen)

	// The first request of a client goes out without token and body; the challenge tells tenant and resource.
	name := unique("challenge")
	version := set(t, client, name, "after the challenge")
	tries := seen.take()
	if len(tries) != 2 {
		t.Fatalf("want a challenge and the call, got %v", statuses(tries))
	}
	expect(t, "token on the first try", tries[0].withToken, false)
	expect(t, "first status", tries[0].status, 401)
	want := `Bearer authorization="https://login.microsoftonline.com/` + scene.Tenant +
		`", resource="https://vault.azure.net"`
	expect(t, "challenge", tries[0].header.Get("WWW-Authenticate"), want)
	expect(t, "token on the second try", tries[1].withToken, true)
	expect(t, "second status", tries[1].status, 200)

	// From then on the token goes with the first try.
	secret := get(t, client, name, "")
	expect(t, "value", *secret.Value, "after the challenge")
	expect(t, "version", secret.ID.Version(), version)
	tries = seen.take()
	expect(t, "requests of the second call", len(tries), 1)

	header := tries[0].header
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache", "Pragma": "no-cache",
		"Expires": "-1", "X-Content-Type-Options": "nosniff",
		"Strict-Transport-Security": "max-age=31536000;includeSubDomains",
		// Never sent by the service.
		"ETag": "", "Last-Modified": "", "Server": "", "Retry-After": "", "Content-Encoding": "",
	} {
		expect(t, name, header.Get(name), want)
	}
	for _, name := range []string{"X-Ms-Request-Id", "X-Ms-Keyvault-Service-Version", "X-Ms-Keyvault-Region", "Date",
		"Content-Length"} {
		if header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
}

func TestCurrentAndByVersion(t *testing.T) {
	client := secretsClient(t, "main", "officer", nil)
	name := unique("Versions")
	before := time.Now()
	first := set(t, client, name, "one")
	second := set(t, client, name, "two")
	if first == second {
		t.Fatal("two writes, one version id")
	}

	current := get(t, client, name, "")
	expect(t, "current value", *current.Value, "two")
	expect(t, "current version", current.ID.Version(), second)
	expect(t, "name in the id", current.ID.Name(), name)
	expect(t, "id", string(*current.ID), vaultURL("main")+"/secrets/"+name+"/"+second)
	expect(t, "value by version", *get(t, client, name, first).Value, "one")
	expect(t, "name without regard to case", *get(t, client, strings.ToUpper(name), second).Value, "two")

	attributes := current.Attributes
	expect(t, "enabled", deref(t, "enabled", attributes.Enabled), true)
	created := deref(t, "created", attributes.Created)
	if age := created.Sub(before); age < -2*time.Second || age > 5*time.Second {
		t.Errorf("created %v, the call was at %v", created, before)
	}
	expect(t, "recoverable days", deref(t, "recoverableDays", attributes.RecoverableDays), 90)
	if !strings.HasPrefix(deref(t, "recoveryLevel", attributes.RecoveryLevel), "Recoverable") {
		t.Errorf("recovery level %q", *attributes.RecoveryLevel)
	}
	// What was never set is absent.
	if current.ContentType != nil || current.Tags != nil || current.Managed != nil || current.KID != nil ||
		attributes.Expires != nil || attributes.NotBefore != nil {
		t.Errorf("members that nobody set: %+v", current)
	}
}

func TestValuesSurviveExactly(t *testing.T) {
	client := secretsClient(t, "main", "officer", nil)
	for what, value := range map[string]string{
		"empty":      "",
		"nul":        "a\x00b\x00",
		"controls":   "tab\there\r\nand \x01\x1f\x7f",
		"quotes":     `{"json":"in \"json\"","back":"\\slash/"}`,
		"unicode":    "žluťoučký 密钥 \U0001F511 \u2028",
		"html":       "<a href='x'>&amp;</a>",
		"size limit": strings.Repeat("x", 25*1024),
	} {
		name := unique("value")
		set(t, client, name, value)
		if got := *get(t, client, name, "").Value; got != value {
			t.Errorf("%s: %d bytes came back as %d", what, len(value), len(got))
		}
	}
	_, err := client.SetSecret(t.Context(), unique("value"),
		azsecrets.SetSecretParameters{Value: to.Ptr(strings.Repeat("x", 25*1024+1))}, nil)
	refused(t, err, 400, "BadParameter", "")
}

func TestAttributes(t *testing.T) {
	client := secretsClient(t, "main", "officer", nil)
	name := unique("attributes")
	// Neither keeps anybody from reading; and the year 3000 is beyond 32 bits.
	notBefore, expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second), time.Unix(32503680000, 0).UTC()
	_, err := client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{
		Value: to.Ptr("v"), ContentType: to.Ptr("text/plain"), Tags: map[string]*string{"team": to.Ptr("a")},
		SecretAttributes: &azsecrets.SecretAttributes{NotBefore: &notBefore, Expires: &expires},
	}, nil)
	must(t, err)
	secret := get(t, client, name, "")
	expect(t, "content type", deref(t, "contentType", secret.ContentType), "text/plain")
	expect(t, "tag", deref(t, "tag", secret.Tags["team"]), "a")
	expect(t, "nbf", deref(t, "nbf", secret.Attributes.NotBefore).Unix(), notBefore.Unix())
	expect(t, "exp", deref(t, "exp", secret.Attributes.Expires).Unix(), expires.Unix())

	// An update is no new version, and its answer holds no value.
	past := time.Now().Add(-24 * time.Hour)
	updated, err := client.UpdateSecretProperties(t.Context(), name, "", azsecrets.UpdateSecretPropertiesParameters{
		ContentType:      to.Ptr("text/new"),
		SecretAttributes: &azsecrets.SecretAttributes{Expires: &past},
	}, nil)
	must(t, err)
	if updated.Value != nil {
		t.Error("an update answers with the value")
	}
	after := get(t, client, name, "")
	expect(t, "version after an update", after.ID.Version(), secret.ID.Version())
	expect(t, "content type after an update", deref(t, "contentType", after.ContentType), "text/new")
	expect(t, "exp after an update", deref(t, "exp", after.Attributes.Expires).Unix(), past.Unix())
	expect(t, "an expired secret is read", *after.Value, "v")
}

func TestDisabled(t *testing.T) {
	client := secretsClient(t, "main", "officer", nil)
	name := unique("disabled")
	old := set(t, client, name, "old")
	now := set(t, client, name, "new")
	_, err := client.UpdateSecretProperties(t.Context(), name, now, azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)}}, nil)
	must(t, err)

	_, err = client.GetSecret(t.Context(), name, "", nil)
	message := refused(t, err, 403, "Forbidden", "SecretDisabled")
	if !strings.Contains(message, "disabled secret") {
		t.Errorf("message %q", message)
	}
	_, err = client.GetSecret(t.Context(), name, now, nil)
	refused(t, err, 403, "Forbidden", "SecretDisabled")
	expect(t, "an older enabled version", *get(t, client, name, old).Value, "old")

	_, err = client.UpdateSecretProperties(t.Context(), name, now, azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(true)}}, nil)
	must(t, err)
	expect(t, "enabled again", *get(t, client, name, "").Value, "new")
}

func TestNotFound(t *testing.T) {
	client := secretsClient(t, "main", "reader", nil)
	_, err := client.GetSecret(t.Context(), "no-such-secret", "", nil)
	message := refused(t, err, 404, "SecretNotFound", "")
	if !strings.Contains(message, "no-such-secret") {
		t.Errorf("the message does not name the secret: %q", message)
	}
	officer := secretsClient(t, "main", "officer", nil)
	name := unique("found")
	set(t, officer, name, "v")
	_, err = client.GetSecret(t.Context(), name, strings.Repeat("0", 32), nil)
	refused(t, err, 404, "SecretNotFound", "")
	_, err = client.GetSecret(t.Context(), "under_score", "", nil)
	refused(t, err, 400, "BadParameter", "")
}

func TestForbidden(t *testing.T) {
	nobody := secretsClient(t, "main", "nobody", nil)
	// Permission is checked before existence: an unknown name looks the same.
	for _, name := range []string{"no-such-secret", scene.Certificates["pem"]} {
		_, err := nobody.GetSecret(t.Context(), name, "", nil)
		message := refused(t, err, 403, "Forbidden", "ForbiddenByRbac")
		if !strings.Contains(message, "getSecret/action") {
			t.Errorf("the message does not name the action: %q", message)
		}
	}
	_, err := nobody.NewListSecretPropertiesPager(nil).NextPage(t.Context())
	refused(t, err, 403, "Forbidden", "ForbiddenByRbac")

	reader := secretsClient(t, "main", "reader", nil)
	_, err = reader.SetSecret(t.Context(), unique("write"), azsecrets.SetSecretParameters{Value: to.Ptr("v")}, nil)
	refused(t, err, 403, "Forbidden", "ForbiddenByRbac")
	_, err = keysClient(t, "reader").GetKey(t.Context(), scene.Keys["rsa"], "", nil)
	refused(t, err, 403, "Forbidden", "ForbiddenByRbac")

	// A vault that goes by access policies.
	_, err = secretsClient(t, "policy", "reader", nil).GetSecret(t.Context(), "any", "", nil)
	refused(t, err, 403, "Forbidden", "ForbiddenByPolicy")
}

func TestDeleteRecoverPurge(t *testing.T) {
	t.Parallel()
	client := secretsClient(t, "main", "officer", nil)
	name := unique("gone")
	set(t, client, name, "v")
	deleted, err := client.DeleteSecret(t.Context(), name, nil)
	must(t, err)
	if deleted.Value != nil {
		t.Error("a delete answers with the value")
	}
	wait := deref(t, "scheduledPurgeDate", deleted.ScheduledPurgeDate).Sub(deref(t, "deletedDate", deleted.DeletedDate))
	expect(t, "retention", wait, 90*24*time.Hour)
	if !strings.HasSuffix(deref(t, "recoveryId", deleted.RecoveryID), "/deletedsecrets/"+name) {
		t.Errorf("recovery id %q", *deleted.RecoveryID)
	}

	_, err = client.GetSecret(t.Context(), name, "", nil)
	refused(t, err, 404, "SecretNotFound", "")
	// The delete has answered, yet for some seconds the secret is not to be found among the deleted ones.
	_, err = client.GetDeletedSecret(t.Context(), name, nil)
	refused(t, err, 404, "SecretNotFound", "")
	_, err = client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: to.Ptr("w")}, nil)
	refused(t, err, 409, "Conflict", "ObjectIsBeingDeleted")
	shown := func() error {
		_, err := client.GetDeletedSecret(t.Context(), name, nil)
		return err
	}
	eventually(t, "deleted secret to show", shown)
	_, err = client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: to.Ptr("w")}, nil)
	refused(t, err, 409, "Conflict", "ObjectIsDeletedButRecoverable")

	_, err = client.RecoverDeletedSecret(t.Context(), name, nil)
	must(t, err)
	var back azsecrets.GetSecretResponse
	eventually(t, "recovered secret", func() (err error) {
		back, err = client.GetSecret(t.Context(), name, "", nil)
		return err
	})
	expect(t, "recovered value", *back.Value, "v")

	_, err = client.DeleteSecret(t.Context(), name, nil)
	must(t, err)
	eventually(t, "deleted secret to show again", shown)
	_, err = client.PurgeDeletedSecret(t.Context(), name, nil)
	must(t, err)
	eventually(t, "the name to be free", func() error {
		_, err := client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: to.Ptr("fresh")}, nil)
		return err
	})
	expect(t, "value of the new secret", *get(t, client, name, "").Value, "fresh")
}
