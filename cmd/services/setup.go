package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/joho/godotenv"
)

// setup is what every verb works with.
type setup struct {
	root     string // the project's folder
	data     string // root/.data
	messages io.Writer
	env      func(name string) string // the environment, then .env
	// lookOnly keeps everything from being created or started.
	lookOnly bool
	// Where a server is expected if nobody says anything else.
	postgresAddress, rabbitAddress string
}

func newSetup(messages io.Writer) (*setup, error) {
	root, err := projectFolder()
	if err != nil {
		return nil, err
	}

	file, err := godotenv.Read(filepath.Join(root, ".env"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading .env: %w", err)
	}

	return &setup{
		root:     root,
		data:     filepath.Join(root, ".data"),
		messages: messages,
		env: func(name string) string {
			if value, ok := os.LookupEnv(name); ok {
				return value
			}

			return file[name]
		},
		postgresAddress: "127.0.0.1:5432",
		rabbitAddress:   "127.0.0.1:5672",
	}, nil
}

// projectFolder is the working folder or the nearest one above it that is the
// root of this module.
func projectFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the project's folder: %w", err)
	}

	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module chat-messaging\n") {
			return dir, nil
		}

		if dir == filepath.Dir(dir) {
			return "", errors.New("finding the project's folder: run this inside it")
		}

		dir = filepath.Dir(dir)
	}
}

// say tells the user something, in plain words.
func (s *setup) say(format string, args ...any) {
	fmt.Fprintf(s.messages, format+"\n", args...)
}

// lock keeps two set-up commands from starting the same server twice. The
// kernel releases it when the process ends.
func (s *setup) lock() (*os.File, error) {
	if err := os.MkdirAll(s.data, 0o755); err != nil { //nolint:gosec // the servers' accounts must enter it
		return nil, fmt.Errorf("creating %s: %w", s.data, err)
	}

	file, err := os.OpenFile(filepath.Join(s.data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", s.data, err)
	}

	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", s.data, err), file.Close())
	}

	return file, nil
}

// remember notes an address that this command is about to give out, so that it
// knows its own address again when it comes back through the environment.
func (s *setup) remember(server, address string) error {
	if err := os.WriteFile(s.addressFile(server), []byte(address+"\n"), 0o600); err != nil {
		return fmt.Errorf("noting the address of %s: %w", server, err)
	}

	return nil
}

func (s *setup) gaveOut(server, address string) bool {
	text, err := os.ReadFile(s.addressFile(server))
	return err == nil && strings.TrimSpace(string(text)) == address
}

func (s *setup) addressFile(server string) string { return filepath.Join(s.data, server+".url") }
