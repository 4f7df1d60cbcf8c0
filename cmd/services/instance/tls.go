package instance

import (
	"fmt"
	"os"
	"path/filepath"
)

// TLS is what a server shows to its clients, and asks of them. All in PEM.
type TLS struct {
	// Certificate and Key are the server's own. Required.
	Certificate, Key []byte
	// ClientCA signs the certificates that clients must show. Nil: they need none.
	ClientCA []byte
}

// tlsFiles are the paths of a server's certificates; authority is empty without
// a ClientCA.
type tlsFiles struct{ certificate, key, authority string }

// writeTLS puts the certificates into the folder, for the server's account alone.
func (f folder) writeTLS(t *TLS, owner account) (tlsFiles, error) {
	dir := filepath.Join(f.path, "tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tlsFiles{}, fmt.Errorf("writing the certificates: %w", err)
	}

	if err := owner.own(dir); err != nil {
		return tlsFiles{}, err
	}

	files := tlsFiles{certificate: filepath.Join(dir, "server.crt"), key: filepath.Join(dir, "server.key")}
	texts := map[string][]byte{files.certificate: t.Certificate, files.key: t.Key}

	if t.ClientCA != nil {
		files.authority = filepath.Join(dir, "clients.crt")
		texts[files.authority] = t.ClientCA
	}

	for path, text := range texts {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return tlsFiles{}, fmt.Errorf("writing the certificates: %w", err)
		}

		if err := owner.own(path); err != nil {
			return tlsFiles{}, err
		}
	}

	return files, nil
}

// secure returns the settings that switch TLS on, and the access rules beside
// it.
func (p *Postgres) secure() (map[string]string, error) {
	if p.config.TLS == nil {
		return nil, nil //nolint:nilnil // no settings
	}

	files, err := p.dir.writeTLS(p.config.TLS, p.account)
	if err != nil {
		return nil, err
	}

	settings := map[string]string{"ssl": "on", "ssl_cert_file": files.certificate, "ssl_key_file": files.key}

	// The superuser's own way in is not encrypted: it is this package's.
	rules := "host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256"
	if files.authority != "" {
		settings["ssl_ca_file"] = files.authority
		rules += " clientcert=verify-full"
	}

	settings["hba_file"] = filepath.Join(filepath.Dir(files.certificate), "pg_hba.conf")
	if err := os.WriteFile(settings["hba_file"], []byte(rules+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing the access rules: %w", err)
	}

	return settings, p.account.own(settings["hba_file"])
}

// secure returns the settings of a listener with TLS beside the plain one.
func (r *RabbitMQ) secure() (map[string]string, error) {
	if r.config.TLS == nil {
		return nil, nil //nolint:nilnil // no settings
	}

	files, err := r.dir.writeTLS(r.config.TLS, r.account)
	if err != nil {
		return nil, err
	}

	settings := map[string]string{
		"listeners.ssl.1":      fmt.Sprintf("127.0.0.1:%d", r.known.TLSPort),
		"ssl_options.certfile": files.certificate,
		"ssl_options.keyfile":  files.key,
	}
	if files.authority != "" {
		settings["ssl_options.cacertfile"] = files.authority
		settings["ssl_options.verify"] = "verify_peer"
		settings["ssl_options.fail_if_no_peer_cert"] = "true"
	}

	return settings, nil
}
