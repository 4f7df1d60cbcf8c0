package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/services/instance"
	"chat-messaging/queries/queriestest"
)

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := template(name)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key, a.pem = a.sign(template, template, nil)
	block, _ := pem.Decode(a.pem)
	var err error
	a.cert, err = x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return a
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// sign makes a key and its certificate; without a signer it signs itself.
func (a *authority) sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(a.t, err)
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issue returns a certificate and its key, for a server at the address or else
// for a client of the name.
func (a *authority) issue(name string, addresses ...net.IP) (certificate, key []byte) {
	a.t.Helper()
	template := template(name)
	template.IPAddresses, template.ExtKeyUsage = addresses, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	private, certificate := a.sign(template, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func writeSecret(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// secured is a pair of servers that only let in who encrypts and shows a
// certificate, and how the service gets in.
type secured struct {
	postgres                  *instance.Postgres
	rabbit                    *instance.RabbitMQ
	root, certificate, secret string // files of the service
}

// serving is the database role of the service in these tests.
const serving = "chat_serve"

func startSecured(t *testing.T) *secured {
	t.Helper()
	root := newAuthority(t, "the root of the tests")
	certificate, key := root.issue("server", net.IPv4(127, 0, 0, 1))
	tls := &instance.TLS{Certificate: certificate, Key: key, ClientCA: root.pem}
	certificate, key = root.issue(serving)
	s := &secured{root: writeSecret(t, root.pem), certificate: writeSecret(t, certificate), secret: writeSecret(t, key)}

	ctx := within(t, 2*patience)
	var g errgroup.Group
	postgres, rabbit := t.TempDir(), t.TempDir()
	g.Go(func() (err error) {
		s.postgres, err = instance.StartPostgres(ctx, instance.PostgresConfig{Dir: postgres, TLS: tls, Volatile: true})
		return err
	})
	g.Go(func() (err error) {
		s.rabbit, err = instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: rabbit, TLS: tls})
		return err
	})
	t.Cleanup(func() {
		if s.postgres != nil {
			require.NoError(t, s.postgres.Kill())
		}
		if s.rabbit != nil {
			require.NoError(t, s.rabbit.Kill())
		}
	})
	require.NoError(t, g.Wait())
	return s
}

// database is how the service reaches the schema of an administrator's URL.
func (s *secured) database(t testing.TB, admin, host, root, certificate, secret string) string {
	t.Helper()
	u, err := url.Parse(admin)
	require.NoError(t, err)
	u.User, u.Host = url.UserPassword(serving, "secret-of-the-role"), net.JoinHostPort(host, u.Port())
	u.RawQuery = url.Values{
		"search_path": {u.Query().Get("search_path")}, "sslmode": {"verify-full"},
		"sslrootcert": {root}, "sslcert": {certificate}, "sslkey": {secret},
	}.Encode()
	return "DATABASE_URL=" + strings.TrimSuffix(u.String(), "&sslcert=&sslkey=")
}

func (s *secured) broker(t testing.TB, host, root, certificate, secret string) string {
	t.Helper()
	u, err := url.Parse(s.rabbit.TLSURL())
	require.NoError(t, err)
	u.Host = net.JoinHostPort(host, u.Port())
	query := url.Values{"cacertfile": {root}}
	if certificate != "" {
		query.Set("certfile", certificate)
		query.Set("keyfile", secret)
	}
	u.RawQuery = query.Encode()
	return "RABBITMQ_URL=" + u.String()
}

// The service in a house with locks: both servers speak TLS only, each side shows
// the other a certificate, and the database role may do no more than serve.
func TestEverythingIsEncryptedAndEverybodyProvesWhoTheyAre(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	admin := queriestest.SchemaURLAt(t, s.postgres.URL())
	c := newCornerAt(t, s.rabbit.URL(), admin, "QUEUE_TYPE=classic")
	_, err := c.db.ExecContext(t.Context(), "CREATE ROLE "+serving+" LOGIN PASSWORD 'secret-of-the-role'")
	require.NoError(t, err)
	require.Equal(t, exitUsage, c.execute(t.Context(), "", "migrate", "grant").code)
	granted := c.execute(t.Context(), "", "migrate", "grant", "--role", serving)
	require.Equal(t, exitOK, granted.code, granted.stderr)
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	database := s.database(t, admin, "127.0.0.1", s.root, s.certificate, s.secret)
	broker := s.broker(t, "127.0.0.1", s.root, s.certificate, s.secret)

	t.Run("messages come through", func(t *testing.T) {
		r, app := c.record("classic"), c.run(database, broker)
		awaitReady(t, app.url)
		inside := *c
		inside.environ = append(c.environ, database, broker)
		sent := inside.execute(t.Context(), say(t, chat, "a", 1, 2, "Hello")+"\nnot JSON\n", "send")
		require.Equal(t, exitOK, sent.code, sent.stderr)
		require.Equal(t, "a", r.first(1)[0].ClientMessageID)
		eventually(t, "the poisoned one is not counted", func() bool {
			return metric(t, app.url, "chat_messaging_outcomes_total")[`code="malformed_json",outcome="poisoned"`] == 1
		})
		code, body := get(t, app.url+"/readyz")
		require.Equal(t, 200, code, body)

		var open, plain int
		require.NoError(t, c.db.QueryRow(`
SELECT count(*), count(*) FILTER (WHERE NOT s.ssl) FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid)
WHERE a.usename = $1`, serving).Scan(&open, &plain))
		require.Positive(t, open)
		require.Zero(t, plain)
		list, err := s.rabbit.Ctl(within(t, 2*patience), "list_connections", "--silent", "ssl", "client_properties")
		require.NoError(t, err)
		for line := range strings.Lines(list) {
			if strings.Contains(line, `"chat-messaging`) {
				require.True(t, strings.HasPrefix(line, "true"), line)
			}
		}
		require.Contains(t, list, "true")
		app.drain()
		require.Zero(t, c.count("outbox"))
	})

	stranger := newAuthority(t, "somebody else")
	other := writeSecret(t, stranger.pem)
	forged, key := stranger.issue(serving)
	forgedFile, forgedKey := writeSecret(t, forged), writeSecret(t, key)
	for _, c2 := range []struct {
		name             string
		database, broker string
		says             [2]string
	}{
		{
			"servers whose certificate somebody else signed",
			s.database(t, admin, "127.0.0.1", other, s.certificate, s.secret), s.broker(t, "127.0.0.1", other, s.certificate, s.secret),
			[2]string{"certificate signed by unknown authority", "certificate signed by unknown authority"},
		},
		{
			"servers under another name",
			s.database(t, admin, "localhost", s.root, s.certificate, s.secret), s.broker(t, "localhost", s.root, s.certificate, s.secret),
			[2]string{"not valid for any names", "not valid for any names"},
		},
		{
			"a client certificate that somebody else signed",
			s.database(t, admin, "127.0.0.1", s.root, forgedFile, forgedKey), s.broker(t, "127.0.0.1", s.root, forgedFile, forgedKey),
			[2]string{"unknown certificate authority", "remote error: tls"},
		},
		{
			"no client certificate, and no encryption",
			strings.NewReplacer("sslmode=verify-full", "sslmode=disable").Replace(database), s.broker(t, "127.0.0.1", s.root, "", ""),
			[2]string{"no pg_hba.conf entry", "certificate required"},
		},
	} {
		t.Run("nothing passes between us and "+c2.name, func(t *testing.T) {
			app := c.run(c2.database, c2.broker)
			awaitNotReady(t, app.url, "database", c2.says[0])
			awaitNotReady(t, app.url, "broker", c2.says[1])
			_, body := get(t, app.url+"/readyz")
			require.NotContains(t, body, "secret-of-the-role")
			app.drain()
		})
	}
}
