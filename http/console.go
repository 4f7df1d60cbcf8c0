package http

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// consoleFolder is what the console consists of; nothing of it comes from another
// host.
//
//go:embed console/*.html console/*.js console/*.css console/htmx/*.gz console/htmx/LICENSE
var consoleFolder embed.FS

// console is the operators' pages: server-rendered, readable without a script;
// htmx keeps parts of them up to date by server-sent events.
type console struct {
	pages   map[string]*template.Template
	files   map[string]docsFile
	flows   *flows
	streams *streams
	status  statusCache
	now     func() time.Time
}

func newConsole(c Config) (*console, error) {
	k := &console{flows: newFlows(c.DB), streams: newStreams(), now: c.Now}
	var err error
	if k.pages, err = k.parsePages(); err != nil {
		return nil, fmt.Errorf("reading the console's pages: %w", err)
	}
	if k.files, err = readConsoleFiles(); err != nil {
		return nil, err
	}
	return k, nil
}

// start begins to collect what the pages show. It is followed by stop.
func (k *console) start() { k.flows.start() }

// stop ends the live pages and the collecting. It is safe twice.
func (k *console) stop() {
	k.streams.stop()
	k.flows.stop()
}

// parsePages reads every page, each inside the layout.
func (k *console) parsePages() (map[string]*template.Template, error) {
	shared, err := template.New("layout.html").Funcs(k.funcs()).ParseFS(consoleFolder, "console/layout.html", "console/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(consoleFolder, "console/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "console/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if pages[name], err = page.ParseFS(consoleFolder, path); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// view is what a page is rendered from: what all pages have, and its content.
type view struct {
	// Title is the page's, Section the entry of the menu that it belongs to.
	Title, Section string
	// Operator is "" before the log-in.
	Operator string
	Role     Role
	// FormToken is what every form must bring along.
	FormToken string
	Content   any
}

// MayOperate tells whether the page shows what only an operator may do.
func (v view) MayOperate() bool { return v.Role.includes(RoleOperator) }

// show answers with a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, page, title, section string, content any) error {
	return s.showAs(w, r, http.StatusOK, page, title, section, content)
}

func (s *Server) showAs(w http.ResponseWriter, r *http.Request, status int, page, title, section string, content any) error {
	html, err := s.render(r, page, "layout.html", title, section, content)
	if err != nil {
		return err
	}
	respondHTML(w, status, html)
	return nil
}

// render executes one template of a page: layout.html for all of it, or a part.
func (s *Server) render(r *http.Request, page, part, title, section string, content any) ([]byte, error) {
	v := view{Title: title, Section: section, Content: content}
	if x := exchangeOf(r.Context()); x.session.ID != "" {
		v.Operator, v.Role, v.FormToken = x.session.Name, x.session.Role, s.access.sessions.formToken(x.session)
	}
	var html bytes.Buffer
	if err := s.console.pages[page].ExecuteTemplate(&html, part, v); err != nil {
		return nil, fmt.Errorf("rendering a page of the console: %w", err)
	}
	return html.Bytes(), nil
}

func respondHTML(w http.ResponseWriter, status int, html []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	_, _ = w.Write(html)
}

// consolePolicy lets a page load what this server has, send forms to it, and
// nothing else. There is no inline script and no inline style.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func consoleHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cache-Control", "no-store")
	// Not no-referrer: then a browser calls our own forms' origin null, and where it
	// sends no Sec-Fetch-Site they could not be told from another site's.
	h.Set("Referrer-Policy", "same-origin")
	if overTLS(r) { // without, a browser ignores it, and says so in its console
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
}
