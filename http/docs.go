package http

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/mux"
)

// docsFolder is what the documentation consists of; nothing of it comes from
// another host.
//
//go:embed docs/*.html docs/*.js docs/*.css docs/*.svg docs/swagger-ui/*
var docsFolder embed.FS

// docs are the pages that show openapi.json and asyncapi.json to people.
type docs struct {
	api, events page
	files       map[string]docsFile
}

func newDocs() (*docs, error) {
	events, err := parseEventsDocument(asyncAPIText)
	if err != nil {
		return nil, fmt.Errorf("reading asyncapi.json: %w", err)
	}
	d := &docs{}
	if d.files, err = readDocsFiles(); err != nil {
		return nil, err
	}
	if d.api, err = renderPage("docs/api.html", nil, "docs/"); err != nil {
		return nil, err
	}
	if d.events, err = renderPage("docs/events.html", events, ""); err != nil {
		return nil, err
	}
	return d, nil
}

// page is an HTML page. Its links are relative, because only the proxy knows
// what stands in front of our paths; so they depend on a trailing slash.
type page struct{ plain, slashed rendered }

type rendered struct {
	html []byte
	tag  string
}

// renderPage renders a page whose files are at docs, seen from its path without
// a trailing slash.
func renderPage(name string, content any, docs string) (page, error) {
	parsed, err := template.New(path.Base(name)).Funcs(docsFuncs()).ParseFS(docsFolder, name)
	if err != nil {
		return page{}, fmt.Errorf("reading a page: %w", err)
	}
	var variants [2]rendered
	for i, fromHere := range []string{docs, "../" + docs} {
		var html bytes.Buffer
		// The page at docs/ itself: its files are right there.
		fromHere = strings.TrimPrefix(fromHere, "../docs/")
		if err := parsed.Execute(&html, map[string]any{"Docs": fromHere, "Content": content}); err != nil {
			return page{}, fmt.Errorf("rendering a page: %w", err)
		}
		variants[i] = rendered{html.Bytes(), tagOf(html.Bytes())}
	}
	return page{plain: variants[0], slashed: variants[1]}, nil
}

const (
	// pagePolicy lets a page load styles and images of this server, and nothing
	// else; what a page must have beside it, it adds.
	pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// apiPagePolicy adds Swagger UI, its icons, which its style sheet holds as data
	// URLs, and the calls of "Try it out".
	apiPagePolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

func (s *Server) showAPI(w http.ResponseWriter, r *http.Request) error {
	return respondPage(w, r, s.docs.api, apiPagePolicy)
}

func (s *Server) showEvents(w http.ResponseWriter, r *http.Request) error {
	return respondPage(w, r, s.docs.events, pagePolicy)
}

func respondPage(w http.ResponseWriter, r *http.Request, p page, policy string) error {
	variant := p.plain
	// The path that the browser sees; ours has lost its slash at the edge.
	if target, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasSuffix(target, "/") {
		variant = p.slashed
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	// For browsers that do not know the policy's frame-ancestors, and so that no
	// page of another origin holds on to this one.
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	respondTagged(w, r, "text/html; charset=utf-8", variant.html, variant.tag)
	return nil
}

func (s *Server) showDocsFile(w http.ResponseWriter, r *http.Request) error {
	file, ok := s.docs.files[mux.Vars(r)["file"]]
	if !ok {
		return problemNotFound
	}
	return file.respond(w, r)
}
