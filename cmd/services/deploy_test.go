package main

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// composeFile is what these tests want to know of docker-compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		Ports       []string
		Volumes     []string
		Tmpfs       []string
		ReadOnly    bool                                  `yaml:"read_only"`
		CapDrop     []string                              `yaml:"cap_drop"`
		SecurityOpt []string                              `yaml:"security_opt"`
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		HealthCheck struct{ Test []string }
		StopGrace   time.Duration `yaml:"stop_grace_period"`
	}
	Volumes map[string]any
}

func readProject(t *testing.T, name string) string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)

	return string(text)
}

func readCompose(t *testing.T) composeFile {
	t.Helper()

	var c composeFile
	require.NoError(t, yaml.Unmarshal([]byte(readProject(t, "docker-compose.yaml")), &c))

	return c
}

func example(t *testing.T) map[string]string {
	t.Helper()

	values, err := godotenv.Read(filepath.Join("..", "..", "env_example.txt"))
	require.NoError(t, err)

	return values
}

func TestComposeServersAreWhatThisCommandExpects(t *testing.T) {
	t.Parallel()

	c := readCompose(t)
	s, err := newSetup(t.Output())
	require.NoError(t, err)

	for _, want := range []composeService{s.postgresService(), s.rabbitService()} {
		_, usualPort, _ := strings.Cut(want.usual, ":")
		require.Contains(t, c.Services[want.name].Ports,
			"127.0.0.1:${"+want.variable+":-"+usualPort+"}:"+want.port)
	}

	login, err := url.Parse(composeDatabase("postgres:5432"))
	require.NoError(t, err)

	password, _ := login.User.Password()
	require.Equal(t, login.User.Username(), c.Services["postgres"].Environment["POSTGRES_USER"])
	require.Equal(t, password, c.Services["postgres"].Environment["POSTGRES_PASSWORD"])
	require.Equal(t, databaseName, c.Services["postgres"].Environment["POSTGRES_DB"])

	guest, err := url.Parse(guestAt("rabbitmq:5672"))
	require.NoError(t, err)

	password, _ = guest.User.Password()
	require.Equal(t, guest.User.Username(), c.Services["rabbitmq"].Environment["RABBITMQ_DEFAULT_USER"])
	require.Equal(t, password, c.Services["rabbitmq"].Environment["RABBITMQ_DEFAULT_PASS"])

	for _, service := range []string{"migrate", "chat-messaging"} {
		env := c.Services[service].Environment
		require.Equal(t, strings.Replace(login.String(), "/postgres?", "/"+databaseName+"?", 1), env["DATABASE_URL"])
		require.Equal(t, guest.String(), env["RABBITMQ_URL"])
	}
}

func TestComposeServiceAgreesWithTheDefaults(t *testing.T) {
	t.Parallel()

	service, defaults := readCompose(t).Services["chat-messaging"], example(t)
	for name := range service.Environment {
		require.Contains(t, defaults, name, "no such setting")
	}

	require.Equal(t, "${KEY:-"+defaults["KEY"]+"}", service.Environment["KEY"])
	require.Equal(t, defaults["HTTP_ADDR"], service.Environment["HTTP_ADDR"])

	port := strings.TrimPrefix(defaults["HTTP_ADDR"], ":")
	require.Equal(t, []string{"127.0.0.1:${CHAT_MESSAGING_PORT:-" + port + "}:" + port}, service.Ports)
	require.Contains(t, readProject(t, "Dockerfile"), "\nEXPOSE "+port+"\n")

	grace, err := time.ParseDuration(defaults["SHUTDOWN_GRACE"])
	require.NoError(t, err)
	require.Greater(t, service.StopGrace, grace, "the drain would be cut short")
}

func TestComposeStartsInOrderAndIsClosed(t *testing.T) {
	t.Parallel()

	c := readCompose(t)
	require.Equal(t, []string{"migrate", "up"}, c.Services["migrate"].Command)
	require.Equal(t, "service_healthy", c.Services["migrate"].DependsOn["postgres"].Condition)

	waits := c.Services["chat-messaging"].DependsOn
	require.Equal(t, "service_healthy", waits["postgres"].Condition)
	require.Equal(t, "service_healthy", waits["rabbitmq"].Condition)
	require.Equal(t, "service_completed_successfully", waits["migrate"].Condition)

	for name, service := range c.Services {
		require.Contains(t, service.SecurityOpt, "no-new-privileges:true", name)

		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s is open to the network", port)
		}

		for _, volume := range service.Volumes {
			named, _, _ := strings.Cut(volume, ":")
			require.Contains(t, c.Volumes, named, "the data of %s", name)
		}

		if name != "migrate" {
			require.NotEmpty(t, service.HealthCheck.Test, name)
		}

		if service.Image == "chat-messaging" {
			require.True(t, service.ReadOnly, name)
			require.Equal(t, []string{"ALL"}, service.CapDrop, name)
			require.Empty(t, service.Volumes, "%s writes no file", name)
			require.Empty(t, service.Tmpfs, "%s writes no file", name)
		}
	}
}

func TestTheImageIsBuiltFromThisProject(t *testing.T) {
	t.Parallel()

	file := readProject(t, "Dockerfile")

	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readProject(t, "go.mod"))
	require.Len(t, goVersion, 2)
	require.Contains(t, file, "FROM golang:"+goVersion[1]+"-")

	check := readCompose(t).Services["chat-messaging"].HealthCheck.Test
	require.Equal(t, []string{"CMD", "/chat-messaging", "healthcheck"}, check)
	require.Contains(t, file, `CMD ["`+strings.Join(check[1:], `", "`)+`"]`)

	stages := strings.Split(file, "\nFROM ")
	require.Regexp(t, `^\S+:nonroot\n`, stages[len(stages)-1])
	require.Regexp(t, `(?m)^USER [1-9]\d*:[1-9]\d*$`, stages[len(stages)-1], "not root, and by number")
	require.NotRegexp(t, `(?m)^(ADD|VOLUME|RUN) `, stages[len(stages)-1], "the image holds the program and nothing else")
	require.NotRegexp(t, `(?i)(password|secret|token|key)\s*=`, file, "what is built in can be read by all who have the image")

	// .dockerignore lets in what it names and nothing else.
	allowed := strings.Split(readProject(t, ".dockerignore"), "\n")

	folders, err := filepath.Glob("../../*/*.go")
	require.NoError(t, err)

	for _, path := range append(folders, "../../go.mod", "../../cmd/x") {
		top, _, _ := strings.Cut(strings.TrimPrefix(path, "../../"), "/")
		require.True(t, slices.Contains(allowed, "!"+top), "%s does not reach the build of the image", top)
	}
}
