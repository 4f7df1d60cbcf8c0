package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// folder is where an instance lives:
//
//	instance.json   what this package must remember: ports, password, processes
//	server.log      what the server says
//	data/           the server's own, handed to its account
type folder struct {
	path string
}

// memory is instance.json. The first process is the server's main one.
type memory struct {
	Port      int        `json:"port"`
	Password  string     `json:"password"`
	Processes []*process `json:"processes,omitempty"`
	// RabbitMQ only: the node's name is part of its data, so it stays even if
	// the port must change.
	Node        string `json:"node,omitempty"`
	ClusterPort int    `json:"cluster_port,omitempty"`
	MapperPort  int    `json:"mapper_port,omitempty"`
	TLSPort     int    `json:"tls_port,omitempty"`
}

func (m memory) main() *process {
	if len(m.Processes) == 0 {
		return nil
	}

	return m.Processes[0]
}

// openFolder creates the folder where it is missing.
func openFolder(path string) (folder, error) {
	if path == "" {
		return folder{}, errors.New("opening the instance's folder: Dir is empty")
	}

	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // the server's account must enter it
		return folder{}, fmt.Errorf("opening the instance's folder: %w", err)
	}

	return existingFolder(path)
}

// runningIn returns what is known of the server that runs in the folder, and
// ErrNotRunning where none does.
func runningIn(path string) (folder, memory, error) {
	f, err := existingFolder(path)
	if errors.Is(err, os.ErrNotExist) {
		return folder{}, memory{}, ErrNotRunning
	}

	if err != nil {
		return folder{}, memory{}, err
	}

	known, err := f.recall()
	if err == nil && !known.main().alive() {
		err = ErrNotRunning
	}

	return f, known, err
}

func existingFolder(path string) (folder, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}

	if err != nil {
		return folder{}, fmt.Errorf("opening the instance's folder: %w", err)
	}

	return folder{path: path}, nil
}

func (f folder) data() string { return filepath.Join(f.path, "data") }

// recall returns a zero memory for a new folder.
func (f folder) recall() (memory, error) {
	var m memory

	text, err := os.ReadFile(filepath.Join(f.path, "instance.json"))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}

	if err == nil {
		err = json.Unmarshal(text, &m)
	}

	if err != nil {
		return m, fmt.Errorf("reading what is known of the instance: %w", err)
	}

	return m, nil
}

// remember replaces instance.json in one step: the set-up command of another
// terminal may be reading it.
func (f folder) remember(m memory) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("writing what is known of the instance: %w", err)
	}

	name := filepath.Join(f.path, "instance.json")
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing what is known of the instance: %w", err)
	}

	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("writing what is known of the instance: %w", err)
	}

	return nil
}

// openLog starts a new log: only the latest run is of interest in a fault.
func (f folder) openLog() (*os.File, error) {
	log, err := os.OpenFile(filepath.Join(f.path, "server.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the server's log: %w", err)
	}

	return log, nil
}

// logTail is the end of the log, for error messages.
func (f folder) logTail() string {
	const most = 20

	name := filepath.Join(f.path, "server.log")

	text, err := os.ReadFile(name)
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}

	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}

	return "the end of " + name + ":\n  " + strings.Join(lines, "\n  ")
}
