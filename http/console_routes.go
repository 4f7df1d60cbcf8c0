package http

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// consoleRoutes are the pages of the console. A test goes through this table, and
// asks for each without and with too little rights.
func (s *Server) consoleRoutes() []adminRoute {
	return []adminRoute{
		{http.MethodGet, "/console", "console_overview", RoleViewer, s.showOverview},
		{http.MethodGet, "/console/live", "console_overview_live", RoleViewer, s.streamOverview},
		{http.MethodPost, "/console/consumption/pause", "console_pause", RoleOperator, s.changeConsumption},
		{http.MethodPost, "/console/consumption/resume", "console_resume", RoleOperator, s.changeConsumption},
		{http.MethodGet, "/console/poisoned", "console_poisoned", RoleViewer, s.showPoisoned},
		{http.MethodGet, "/console/poisoned/live", "console_poisoned_live", RoleViewer, s.streamPoisoned},
		{http.MethodPost, "/console/poisoned/filter", "console_poisoned_filter", RoleViewer, s.findPoisoned},
		{http.MethodPost, "/console/poisoned/preview", "console_poisoned_preview", RoleOperator, s.previewPoison},
		{http.MethodPost, "/console/poisoned/export", "console_poisoned_export", RoleOperator, s.exportPoisoned},
		{http.MethodGet, "/console/poisoned/{id:[0-9]{1,19}}", "console_poisoned_message", RoleViewer, s.showPoisonedMessage},
		{http.MethodPost, "/console/poisoned/{id:[0-9]{1,19}}/body", "console_poisoned_body", RoleViewer, s.revealPoisonedBody},
		{http.MethodPost, "/console/poisoned/{id:[0-9]{1,19}}/edit", "console_poisoned_edit", RoleOperator, s.editPoisoned},
		{http.MethodPost, "/console/poisoned/{id:[0-9]{1,19}}/revert", "console_poisoned_revert", RoleOperator, s.revertPoisoned},
		{http.MethodGet, "/console/jobs", "console_jobs", RoleViewer, s.showJobs},
		{http.MethodPost, "/console/jobs", "console_job_create", RoleOperator, s.createJob},
		{http.MethodGet, "/console/jobs/{id:[0-9]{1,19}}", "console_job", RoleViewer, s.showJob},
		{http.MethodGet, "/console/jobs/{id:[0-9]{1,19}}/live", "console_job_live", RoleViewer, s.streamJob},
		{http.MethodPost, "/console/jobs/{id:[0-9]{1,19}}/{verb:pause|resume|cancel}", "console_job_steer", RoleOperator, s.steerJob},
		{http.MethodGet, "/console/messages", "console_messages", RoleViewer, s.searchMessages},
		{http.MethodGet, "/console/messages/{chat:[0-9]{1,19}}-{seq:[0-9]{1,19}}", "console_message", RoleViewer, s.showMessagePath},
		{http.MethodPost, "/console/messages/{chat:[0-9]{1,19}}-{seq:[0-9]{1,19}}/bodies", "console_message_bodies", RoleViewer, s.revealBodies},
		{http.MethodGet, "/console/audit", "console_audit", RoleViewer, s.showAudit},
		{http.MethodGet, "/console/settings", "console_settings", RoleViewer, s.showSettings},
		{http.MethodPost, "/console/logout", "console_logout", RoleViewer, s.logout},
	}
}

// entranceRoutes are what is there without a log-in.
func (s *Server) entranceRoutes() []adminRoute {
	return []adminRoute{
		{http.MethodGet, pathLogin, "console_login_form", "", s.showLogin},
		{http.MethodPost, pathLogin, "console_login", "", s.login},
		{http.MethodGet, "/console/files/{file}", "console_file", "", s.showConsoleFile},
	}
}

func (s *Server) showConsoleFile(w http.ResponseWriter, r *http.Request) error {
	file, ok := s.console.files[mux.Vars(r)["file"]]
	if !ok {
		return problemNotFound
	}
	return file.respond(w, r)
}

// readConsoleFiles returns the files by the name that they are served under.
func readConsoleFiles() (map[string]docsFile, error) {
	const script, plain = "text/javascript; charset=utf-8", "text/plain; charset=utf-8"
	files := map[string]docsFile{}
	for _, f := range []struct{ name, path, contentType string }{
		{"console.css", "console/console.css", "text/css; charset=utf-8"},
		{"console.js", "console/console.js", script},
		{"htmx.js", "console/htmx/htmx.min.js.gz", script},
		{"hx-sse.js", "console/htmx/hx-sse.min.js.gz", script},
		// Whoever gets the program gets the licences of what is in it.
		{"htmx.LICENSE.txt", "console/htmx/LICENSE", plain},
	} {
		body, err := consoleFolder.ReadFile(f.path)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the console: %w", err)
		}
		files[f.name] = docsFile{
			contentType: f.contentType, body: body, compressed: strings.HasSuffix(f.path, ".gz"), tag: tagOf(body),
		}
	}
	icon, err := docsFolder.ReadFile("docs/icon.svg")
	if err != nil {
		return nil, fmt.Errorf("reading the icon: %w", err)
	}
	files["icon.svg"] = docsFile{contentType: "image/svg+xml", body: icon, tag: tagOf(icon)}
	return files, nil
}
