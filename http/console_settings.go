package http

import "net/http"

// Setting is a name with its value, as the console shows it: without secrets.
type Setting struct{ Name, Value string }

func (s *Server) showSettings(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "settings", "Settings", "settings", struct{ Settings, Versions []Setting }{
		s.cfg.Settings, s.cfg.Versions,
	})
}
