package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck(load settings) *cobra.Command {
	var target string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running service whether it is well",
		Long: `Ask the service on this machine, at the port of HTTP_ADDR, whether its process
is alive, and exit with 0 if so and with 1 if not: made for the health check of
a container, which then needs no curl.`,
		Example: `  chat-messaging healthcheck
  chat-messaging healthcheck --url http://127.0.0.1:8002/readyz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usagef("--timeout must be more than 0s")
			}
			target, err := healthURL(target, load)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if err := checkHealth(ctx, target); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "healthy")
			return err
		},
	}
	cmd.Flags().StringVar(&target, "url", "", "ask this `URL` instead")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// healthURL is the URL that was asked for, or /healthz where HTTP_ADDR has the
// service listen.
func healthURL(asked string, load settings) (string, error) {
	if asked != "" {
		if u, err := url.Parse(asked); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return "", usagef("--url must be http://… or https://…")
		}
		return asked, nil
	}
	cfg, err := load("HTTP_ADDR")
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(cfg.HTTPAddr)
	if err != nil {
		return "", fmt.Errorf("reading HTTP_ADDR: %w", err)
	}
	if port == "0" {
		return "", usagef("HTTP_ADDR leaves the port to the system: say where the service is with --url")
	}
	// A listener on every address is reached over loopback.
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/healthz", nil
}

// checkHealth wants 200 from the very URL: no proxy in between, no redirect.
func checkHealth(ctx context.Context, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("asking for health: %s is not a usable URL", redactURL(target))
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		if withURL, ok := errors.AsType[*url.Error](err); ok {
			err = withURL.Err
		}
		return fmt.Errorf("asking %s for health: %w", redactURL(target), err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s for health: the answer is %s", redactURL(target), response.Status)
	}
	return nil
}
