package sdk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// With the port, and a dollar sign that nobody encoded.
var nextLink = regexp.MustCompile(`^https://[a-z0-9-]+\.vault\.azure\.net:443/secrets\?api-version=[0-9.-]+&\$skiptoken=`)

func TestVersionsInPages(t *testing.T) {
	seen := &recorder{}
	client := secretsClient(t, "main", "officer", seen)
	name := unique("many")
	written := map[string]bool{}
	for i := range 60 {
		written[set(t, client, name, fmt.Sprint("value ", i))] = true
	}
	disabled := get(t, client, name, "").ID.Version()
	_, err := client.UpdateSecretProperties(t.Context(), name, disabled, azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)}}, nil)
	must(t, err)
	seen.take()

	var listed []string
	pages := 0
	for pager := client.NewListSecretPropertiesVersionsPager(name, nil); pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		must(t, err)
		if len(page.Value) > 25 {
			t.Errorf("page %d has %d rows", pages, len(page.Value))
		}
		for _, row := range page.Value {
			version := row.ID.Version()
			listed = append(listed, version)
			expect(t, "enabled in the list", *row.Attributes.Enabled, version != disabled)
			deref(t, "created", row.Attributes.Created)
			deref(t, "updated", row.Attributes.Updated)
			if !written[version] {
				t.Errorf("nobody wrote version %s", version)
			}
		}
	}
	expect(t, "versions", len(listed), 60)
	if pages < 3 {
		t.Errorf("60 versions on %d pages", pages)
	}
	// By version id, which is random in time.
	if !slices.IsSorted(listed) {
		t.Error("versions are not in the order of their ids")
	}
	expect(t, "requests", len(seen.take()), pages)

	page, err := client.NewListSecretPropertiesVersionsPager("no-such-secret", nil).NextPage(t.Context())
	must(t, err)
	expect(t, "versions of an unknown name", len(page.Value), 0)
	if page.NextLink != nil {
		t.Error("versions of an unknown name have a next page")
	}
}

func TestListWalksDeletedRows(t *testing.T) {
	t.Parallel()
	client := secretsClient(t, "main", "officer", nil)
	stem := unique("aa-rows") // sorts first, so that whole pages are made of these rows
	name := func(i int) string { return fmt.Sprintf("%s-%02d", stem, i) }
	for i := range 70 {
		set(t, client, name(i), "v")
	}
	for i := range 60 {
		_, err := client.DeleteSecret(t.Context(), name(i), nil)
		must(t, err)
	}

	var names []string
	empty, pages := 0, 0
	for pager := client.NewListSecretPropertiesPager(nil); pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		must(t, err)
		if len(page.Value) == 0 && page.NextLink != nil {
			empty++
		}
		if page.NextLink != nil && !nextLink.MatchString(*page.NextLink) {
			t.Errorf("nextLink %q", *page.NextLink)
		}
		for _, row := range page.Value {
			names = append(names, row.ID.Name())
			expect(t, "version in a list row", row.ID.Version(), "")
		}
	}
	if empty == 0 {
		t.Errorf("60 deleted rows gave no empty page (%d pages)", pages)
	}
	if !slices.IsSortedFunc(names, func(a, b string) int {
		return strings.Compare(strings.ToUpper(a), strings.ToUpper(b))
	}) {
		t.Error("the list is not in the order of upper-cased names")
	}
	for i := range 70 {
		expect(t, name(i)+" is listed", slices.Contains(names, name(i)), i >= 60)
	}

	eventually(t, "60 deleted secrets to show", func() error {
		deleted := 0
		for pager := client.NewListDeletedSecretPropertiesPager(nil); pager.More(); {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				return err
			}
			for _, row := range page.Value {
				if strings.HasPrefix(row.ID.Name(), stem) {
					deref(t, "deletedDate", row.DeletedDate)
					deref(t, "scheduledPurgeDate", row.ScheduledPurgeDate)
					deleted++
				}
			}
		}
		if deleted != 60 {
			return fmt.Errorf("%d of them", deleted)
		}
		return nil
	})
}
