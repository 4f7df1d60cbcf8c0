package http_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reference is an address in a page.
var reference = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

func TestDocsPagesLoadOnlyWhatThisServerHas(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, prefix := range []string{"", "/messaging"} {
		for _, path := range []string{"/docs", "/docs/", "/docs?x=/", "/docs/events", "/docs/events/"} {
			page := b.get(t, 0, prefix+path)
			require.Equal(t, http.StatusOK, page.status)
			require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
			require.Equal(t, "nosniff", page.header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-referrer", page.header.Get("Referrer-Policy"))
			require.Equal(t, "DENY", page.header.Get("X-Frame-Options"))
			require.Equal(t, "same-origin", page.header.Get("Cross-Origin-Opener-Policy"))
			require.Equal(t, "same-origin", page.header.Get("Cross-Origin-Resource-Policy"))
			policy := page.header.Get("Content-Security-Policy")
			require.True(t, strings.HasPrefix(policy, "default-src 'none';"), policy)
			require.NotContains(t, policy, "unsafe")
			require.Len(t, page.header.Values("Content-Security-Policy"), 1)
			require.NotRegexp(t, `(?i)<style|style=|<script>|\son[a-z]+=`, string(page.body), "nothing inline")

			here, err := url.Parse(b.url + prefix + path)
			require.NoError(t, err)
			found := reference.FindAllStringSubmatch(string(page.body), -1)
			require.NotEmpty(t, found)
			for _, match := range found {
				there, err := here.Parse(match[1])
				require.NoError(t, err)
				require.Equal(t, here.Host, there.Host, match[1])
				require.True(t, strings.HasPrefix(there.Path, prefix+"/"), "%s leaves the prefix from %s", match[1], here)
				require.Equal(t, http.StatusOK, b.get(t, 0, there.Path).status, "%s from %s", match[1], here)
			}
		}
	}
}

func TestDocsFiles(t *testing.T) {
	t.Parallel()
	b := start(t)
	read := func(t *testing.T, path string, headers ...string) answer {
		t.Helper()
		r := b.request(t, 0, http.MethodGet, path, "")
		// Else the client unpacks what it has not asked for.
		r.Header.Set("Accept-Encoding", "identity")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return b.do(t, r)
	}
	for path, contentType := range map[string]string{
		"/docs/api.js":                           "text/javascript; charset=utf-8",
		"/docs/swagger-ui-bundle.js":             "text/javascript; charset=utf-8",
		"/docs/swagger-ui.css":                   "text/css; charset=utf-8",
		"/docs/page.css":                         "text/css; charset=utf-8",
		"/messaging/docs/icon.svg":               "image/svg+xml",
		"/docs/swagger-ui.LICENSE.txt":           "text/plain; charset=utf-8",
		"/docs/swagger-ui.NOTICE.txt":            "text/plain; charset=utf-8",
		"/docs/swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
		"/asyncapi.json":                         "application/json",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			plain := read(t, path)
			require.Equal(t, http.StatusOK, plain.status)
			require.Equal(t, contentType, plain.header.Get("Content-Type"))
			require.Equal(t, "no-cache", plain.header.Get("Cache-Control"))
			require.Empty(t, plain.header.Get("Content-Encoding"))
			again := read(t, path, "If-None-Match", plain.header.Get("ETag"))
			require.Equal(t, http.StatusNotModified, again.status)
			require.Empty(t, again.body)

			packed := read(t, path, "Accept-Encoding", "br, gzip;q=0.5")
			if packed.header.Get("Content-Encoding") == "" {
				require.Equal(t, plain.body, packed.body)
				return
			}
			require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
			require.Contains(t, packed.header.Values("Vary"), "Accept-Encoding")
			require.NotEqual(t, plain.header.Get("ETag"), packed.header.Get("ETag"), "other bytes, another tag")
			unpacker, err := gzip.NewReader(bytes.NewReader(packed.body))
			require.NoError(t, err)
			unpacked, err := io.ReadAll(unpacker)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain.body, unpacked))
		})
	}
	for accepted, encoding := range map[string]string{
		"": "", "gzip": "gzip", "GZIP": "gzip", "deflate, gzip": "gzip", "*": "gzip", "*;q=0": "", "gzip;q=0": "", "gzip; q=0.000": "",
		"gzip;q=1": "gzip", "gzip;q=0, *": "", "*;q=0, gzip": "gzip", "xgzip": "", "gzip;q=x": "", "gzip;x=1": "",
	} {
		got := read(t, "/docs/swagger-ui.css", "Accept-Encoding", accepted)
		require.Equal(t, encoding, got.header.Get("Content-Encoding"), accepted)
	}
	for _, path := range []string{"/docs/nothing", "/docs/docs.go", "/docs/api.html", "/docs/swagger-ui", "/docs/swagger-ui/LICENSE", "/docs/..%2fopenapi.json"} {
		require.Equal(t, http.StatusNotFound, read(t, path).status, path)
	}
}

// The two documents lie where people look for them and where they are built in.
func TestTheAsyncAPIDocumentIsOneFile(t *testing.T) {
	t.Parallel()
	b := start(t)
	source, err := os.ReadFile("asyncapi.json")
	require.NoError(t, err)
	linked, err := os.ReadFile("../docs/asyncapi.json")
	require.NoError(t, err)
	require.Equal(t, string(source), string(linked))
	require.Equal(t, string(source), string(b.get(t, 0, "/messaging/asyncapi.json").body))
}

func TestTheEventsPageShowsTheWholeDocument(t *testing.T) {
	t.Parallel()
	b := start(t)
	page := string(b.get(t, 0, "/docs/events").body)
	text, err := os.ReadFile("asyncapi.json")
	require.NoError(t, err)
	var document struct {
		Channels   map[string]struct{ Title string }
		Components struct {
			Messages map[string]struct {
				Title    string
				Headers  struct{ Properties map[string]any }
				Examples []struct{ Name string }
			}
			Schemas map[string]struct {
				Properties map[string]any
				OneOf      []struct{ Const string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &document))
	var want []string
	for name, channel := range document.Channels {
		want = append(want, `id="`+name+`"`, channel.Title)
	}
	for name, message := range document.Components.Messages {
		want = append(want, `id="`+name+`"`, message.Title)
		for header := range message.Headers.Properties {
			want = append(want, "<code>"+header+"</code>")
		}
		for _, example := range message.Examples {
			want = append(want, "Example: "+example.Name)
		}
	}
	for _, schema := range document.Components.Schemas {
		for name := range schema.Properties {
			want = append(want, "<code>"+name+"</code>")
		}
		for _, alternative := range schema.OneOf {
			if alternative.Const != "" {
				want = append(want, "<code>"+alternative.Const+"</code>")
			}
		}
	}
	for _, each := range want {
		require.Contains(t, page, each)
	}
	require.NotContains(t, page, "$ref")
}
