package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	certificatesfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	keysfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	secretsfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"
)

const vault = "https://fake.vault.azure.net"

func (v *version) value() string { return strings.Repeat(v.Value, max(v.Repeat, 1)) }

func (v *version) enabled() *bool {
	if v.Enabled == nil {
		return to.Ptr(true)
	}
	return v.Enabled
}

func optional(seconds int64) *time.Time {
	if seconds == 0 {
		return nil
	}
	return to.Ptr(time.Unix(seconds, 0))
}

// find returns a version of an object (the current one when id is empty), or fills in the refusal. The fakes of keys and
// certificates take name and version for one name, since their patterns for it match a slash.
func find(list []object, failures []failure, name, id, notFound string, refusal *fake.ErrorResponder) *version {
	if before, after, found := strings.Cut(name, "/"); found {
		name, id = before, after
	}
	for _, failure := range failures {
		if failure.Name == name {
			refusal.SetResponseError(failure.Status, failure.Code)
			return nil
		}
	}
	for _, object := range list {
		if object.Name != name {
			continue
		}
		if id == "" {
			return &object.Versions[len(object.Versions)-1]
		}
		for i := range object.Versions {
			if object.Versions[i].ID == id {
				return &object.Versions[i]
			}
		}
	}
	refusal.SetResponseError(http.StatusNotFound, notFound)
	return nil
}

// pages calls page for each run of versions of an object; once with none for a name that nobody has. It calls cut after
// the first where the object says so.
func pages(list []object, name string, page func([]version), cut func(status int, code string)) {
	for _, object := range list {
		if object.Name != name {
			continue
		}
		size := object.PageSize
		if size == 0 {
			size = len(object.Versions)
		}
		for from := 0; from < len(object.Versions); from += size {
			page(object.Versions[from:min(from+size, len(object.Versions))])
			if object.Cut {
				cut(http.StatusTooManyRequests, "Throttled")
				return
			}
		}
		return
	}
	page(nil)
}

func secretAttributes(v *version) *azsecrets.SecretAttributes {
	return &azsecrets.SecretAttributes{Enabled: v.enabled(), Created: optional(v.Created), Updated: optional(v.Created),
		NotBefore: optional(v.NotBefore), Expires: optional(v.Expires), RecoveryLevel: to.Ptr("Recoverable"),
		RecoverableDays: to.Ptr(int32(90))}
}

func secretsServer(told *objects) *secretsfake.Server {
	return &secretsfake.Server{
		GetSecret: func(_ context.Context, name, id string, _ *azsecrets.GetSecretOptions) (
			resp fake.Responder[azsecrets.GetSecretResponse], refusal fake.ErrorResponder) {
			v := find(told.Secrets, told.Errors, name, id, "SecretNotFound", &refusal)
			if v == nil {
				return
			}
			secret := azsecrets.Secret{ID: to.Ptr(azsecrets.ID(vault + "/secrets/" + name + "/" + v.ID)),
				Value: to.Ptr(v.value()), Attributes: secretAttributes(v)}
			if v.ContentType != "" {
				secret.ContentType = &v.ContentType
			}
			if v.Certificate {
				secret.Managed = to.Ptr(true)
				secret.KID = to.Ptr(azsecrets.ID(vault + "/keys/" + name + "/" + v.ID))
			}
			resp.SetResponse(http.StatusOK, azsecrets.GetSecretResponse{Secret: secret}, nil)
			return
		},
		NewListSecretPropertiesVersionsPager: func(name string, _ *azsecrets.ListSecretPropertiesVersionsOptions) (
			resp fake.PagerResponder[azsecrets.ListSecretPropertiesVersionsResponse]) {
			pages(told.Secrets, name, func(versions []version) {
				page := azsecrets.ListSecretPropertiesVersionsResponse{}
				page.Value = []*azsecrets.SecretProperties{} // an empty page has its array
				for _, v := range versions {
					page.Value = append(page.Value, &azsecrets.SecretProperties{Attributes: secretAttributes(&v),
						ID: to.Ptr(azsecrets.ID(fmt.Sprintf("%s/secrets/%s/%s", vault, name, v.ID)))})
				}
				resp.AddPage(http.StatusOK, page, nil)
			}, resp.AddResponseError)
			return
		},
	}
}

func keyAttributes(v *version) *azkeys.KeyAttributes {
	return &azkeys.KeyAttributes{Enabled: v.enabled(), Created: optional(v.Created), Updated: optional(v.Created),
		NotBefore: optional(v.NotBefore), Expires: optional(v.Expires)}
}

func keysServer(told *objects) *keysfake.Server {
	kid := func(name string, v *version) *azkeys.ID {
		name, _, _ = strings.Cut(name, "/")
		return to.Ptr(azkeys.ID(vault + "/keys/" + name + "/" + v.ID))
	}
	return &keysfake.Server{
		GetKey: func(_ context.Context, name, id string, _ *azkeys.GetKeyOptions) (
			resp fake.Responder[azkeys.GetKeyResponse], refusal fake.ErrorResponder) {
			if v := find(told.Keys, told.Errors, name, id, "KeyNotFound", &refusal); v != nil {
				resp.SetResponse(http.StatusOK, azkeys.GetKeyResponse{KeyBundle: azkeys.KeyBundle{
					Attributes: keyAttributes(v), Key: &azkeys.JSONWebKey{KID: kid(name, v), Kty: to.Ptr(azkeys.KeyTypeRSA),
						N: []byte(v.value()), E: []byte{1, 0, 1}}}}, nil)
			}
			return
		},
		NewListKeyPropertiesVersionsPager: func(name string, _ *azkeys.ListKeyPropertiesVersionsOptions) (
			resp fake.PagerResponder[azkeys.ListKeyPropertiesVersionsResponse]) {
			pages(told.Keys, name, func(versions []version) {
				page := azkeys.ListKeyPropertiesVersionsResponse{}
				page.Value = []*azkeys.KeyProperties{}
				for _, v := range versions {
					page.Value = append(page.Value, &azkeys.KeyProperties{Attributes: keyAttributes(&v), KID: kid(name, &v)})
				}
				resp.AddPage(http.StatusOK, page, nil)
			}, resp.AddResponseError)
			return
		},
	}
}

func certificateAttributes(v *version) *azcertificates.CertificateAttributes {
	return &azcertificates.CertificateAttributes{Enabled: v.enabled(), Created: optional(v.Created),
		Updated: optional(v.Created), NotBefore: optional(v.NotBefore), Expires: optional(v.Expires)}
}

func certificatesServer(told *objects) *certificatesfake.Server {
	id := func(kind, name string, v *version) *azcertificates.ID {
		name, _, _ = strings.Cut(name, "/")
		return to.Ptr(azcertificates.ID(vault + "/" + kind + "/" + name + "/" + v.ID))
	}
	return &certificatesfake.Server{
		GetCertificate: func(_ context.Context, name, version string, _ *azcertificates.GetCertificateOptions) (
			resp fake.Responder[azcertificates.GetCertificateResponse], refusal fake.ErrorResponder) {
			v := find(told.Certificates, told.Errors, name, version, "CertificateNotFound", &refusal)
			if v != nil {
				resp.SetResponse(http.StatusOK, azcertificates.GetCertificateResponse{
					Certificate: azcertificates.Certificate{Attributes: certificateAttributes(v),
						ID: id("certificates", name, v), KID: id("keys", name, v), SID: id("secrets", name, v),
						CER: []byte(v.value())}}, nil)
			}
			return
		},
		NewListCertificatePropertiesVersionsPager: func(name string,
			_ *azcertificates.ListCertificatePropertiesVersionsOptions) (
			resp fake.PagerResponder[azcertificates.ListCertificatePropertiesVersionsResponse]) {
			pages(told.Certificates, name, func(versions []version) {
				page := azcertificates.ListCertificatePropertiesVersionsResponse{}
				page.Value = []*azcertificates.CertificateProperties{}
				for _, v := range versions {
					page.Value = append(page.Value, &azcertificates.CertificateProperties{
						Attributes: certificateAttributes(&v), ID: id("certificates", name, &v)})
				}
				resp.AddPage(http.StatusOK, page, nil)
			}, resp.AddResponseError)
			return
		},
	}
}
