package http

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// adminRoute is a call for operators: a line of the table and who may use it.
type adminRoute struct {
	method, path, name string
	role               Role
	handle             endpoint
}

// adminRoutes are the calls under /admin. A test goes through this table, and asks
// for each without and with too little rights.
func (s *Server) adminRoutes() []adminRoute {
	return []adminRoute{
		{http.MethodGet, "/admin/caller", "admin_caller", RoleViewer, s.getCaller},
		{http.MethodGet, "/admin/status", "admin_status", RoleViewer, s.getStatus},
		{http.MethodGet, "/admin/consumption", "admin_consumption", RoleViewer, s.getConsumption},
		{http.MethodPut, "/admin/consumption", "set_consumption", RoleOperator, s.putConsumption},
		{http.MethodGet, "/admin/messages", "admin_messages", RoleViewer, s.findMessages},
		{http.MethodGet, "/admin/messages/{chat:[0-9]{1,19}}-{seq:[0-9]{1,19}}", "admin_message", RoleViewer, s.showMessage},
		{http.MethodGet, "/admin/poisoned", "admin_poisoned", RoleViewer, s.adminListPoisoned},
		{http.MethodGet, "/admin/poisoned/groups", "admin_poison_groups", RoleViewer, s.adminPoisonGroups},
		{http.MethodGet, "/admin/poisoned/preview", "admin_poison_preview", RoleViewer, s.adminPreviewPoison},
		{http.MethodGet, "/admin/poisoned/export", "admin_poison_export", RoleOperator, s.adminExportPoisoned},
		{http.MethodPost, "/admin/poisoned/import", "admin_poison_import", RoleOperator, s.adminImportPoisoned},
		{http.MethodGet, "/admin/poisoned/{id:[0-9]{1,18}}", "admin_poisoned_message", RoleViewer, s.adminShowPoisoned},
		{http.MethodPut, "/admin/poisoned/{id:[0-9]{1,18}}/body", "edit_poisoned", RoleOperator, s.adminEditPoisoned},
		{http.MethodDelete, "/admin/poisoned/{id:[0-9]{1,18}}/body", "revert_poisoned", RoleOperator, s.adminRevertPoisoned},
		{http.MethodGet, "/admin/jobs", "admin_jobs", RoleViewer, s.adminListJobs},
		{http.MethodPost, "/admin/jobs", "create_job", RoleOperator, s.adminCreateJob},
		{http.MethodGet, "/admin/jobs/{id:[0-9]{1,18}}", "admin_job", RoleViewer, s.adminShowJob},
		{http.MethodPost, "/admin/jobs/{id:[0-9]{1,18}}/{verb:pause|resume|cancel}", "steer_job", RoleOperator, s.adminSteerJob},
		{http.MethodGet, "/admin/audit", "admin_audit", RoleViewer, s.adminListAudit},
	}
}

// isForOperators tells whether the path leads to something for operators.
func isForOperators(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first == "admin" || first == "console"
}

// addForOperators adds routes that only operators reach, each guarded by guard.
func (s *Server) addForOperators(router *mux.Router, table []adminRoute, guard func(Role, endpoint) endpoint) {
	for _, line := range table {
		s.add(router, route{line.method, line.path, line.name, guard(line.role, line.handle)})
		hidden(router, line.name)
	}
}

// hidden keeps a route from answering under the prefix, which is what the reverse
// proxy passes on: it is not for the world.
func hidden(router *mux.Router, name string) {
	// Not a subrouter: mux would forget that an earlier route refused the method.
	router.Get(name).MatcherFunc(func(r *http.Request, _ *mux.RouteMatch) bool {
		return !exchangeOf(r.Context()).prefixed
	})
}

// getCaller tells a script who it is here.
func (s *Server) getCaller(w http.ResponseWriter, r *http.Request) error {
	who := operatorOf(r.Context())
	answer := struct {
		Name    string  `json:"name"`
		Role    Role    `json:"role"`
		Expires *string `json:"expires"`
	}{Name: who.name, Role: who.role}
	if !who.until.IsZero() {
		expires := who.until.UTC().Format(time.RFC3339)
		answer.Expires = &expires
	}
	return respondAdmin(w, http.StatusOK, answer)
}

// respondAdmin answers with v as JSON. Nothing for operators is ever stored
// between here and them.
func respondAdmin(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}
