package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake/server"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	certificatesfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates/fake"
	keysfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys/fake"
	secretsfake "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets/fake"
)

// transport is what the clients of the SDK send their requests to: here its fakes.
type transport interface {
	Do(*http.Request) (*http.Response, error)
}

type service struct {
	transport transport
	noun      string // "Secret" in the names of the SDK's methods
}

// handler turns a request into the call of the SDK that would have made it, which is how the fakes dispatch.
type handler struct {
	services map[string]service
	failures map[string]failure
}

func newHandler(told *objects) *handler {
	h := &handler{failures: map[string]failure{}, services: map[string]service{
		"secrets": {secretsfake.NewServerTransport(secretsServer(told)), "Secret"},
		"keys":    {keysfake.NewServerTransport(keysServer(told)), "Key"},
		"certificates": {certificatesfake.NewServerTransport(certificatesServer(told)),
			"Certificate"},
	}}
	for _, failure := range told.Errors {
		h.failures[failure.Name] = failure
	}
	return h
}

// apiName names the SDK's method for a request, as the key CtxAPINameKey wants it.
func (h *handler) apiName(r *http.Request) (transport, string) {
	parts := strings.Split(strings.Trim(server.SanitizePagerPollerPath(r.URL.Path), "/"), "/")
	service, known := h.services[parts[0]]
	if !known || r.Method != http.MethodGet || len(parts) > 3 {
		return nil, ""
	}
	switch {
	case len(parts) == 1:
		return service.transport, "Client.NewList" + service.noun + "PropertiesPager"
	case len(parts) == 3 && parts[2] == "versions":
		return service.transport, "Client.NewList" + service.noun + "PropertiesVersionsPager"
	default:
		return service.transport, "Client.Get" + service.noun
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	transport, name := h.apiName(r)
	if transport == nil {
		http.NotFound(w, r)
		return
	}
	req := r.Clone(context.WithValue(r.Context(), runtime.CtxAPINameKey{}, name))
	// The fakes make next links out of the URL, and Key Vault's hold the port.
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	req.URL.Scheme, req.URL.Host = "https", host+":443"
	resp, err := transport.Do(req)
	var refusal *azcore.ResponseError
	if errors.As(err, &refusal) && refusal.RawResponse != nil {
		h.refuse(w, refusal, strings.Split(r.URL.Path, "/"))
		return
	}
	if err != nil {
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	pass(w, resp)
}

// pass hands an answer on.
func pass(w http.ResponseWriter, resp *http.Response) {
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		log.Print(err)
	}
}

// refuse hands an error on, with a body in the form of Key Vault where the failure has a code.
func (h *handler) refuse(w http.ResponseWriter, refusal *azcore.ResponseError, path []string) {
	if refusal.ErrorCode == "" {
		pass(w, refusal.RawResponse)
		return
	}
	type inner struct {
		Code string `json:"code"`
	}
	var body struct {
		Error struct {
			Code       string `json:"code"`
			Message    string `json:"message"`
			Innererror *inner `json:"innererror,omitempty"`
		} `json:"error"`
	}
	body.Error.Code = refusal.ErrorCode
	body.Error.Message = "The fake was told to refuse.\r\n"
	if code := h.failures[path[2]].Inner; code != "" {
		body.Error.Innererror = &inner{code}
	}
	text, err := json.Marshal(body)
	if err != nil {
		log.Panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(refusal.StatusCode)
	_, _ = w.Write(text)
}
