package instance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lowestPort leaves the well-known and most registered ports alone.
const lowestPort = 10000

// freePorts returns n ports that nothing listens on, and a claim on each of
// them: a server takes seconds until it listens, some of the time it is down, and
// another process that looks for ports must not find the same ones meanwhile.
//
// They lie below the range from which the kernel takes the local ends of
// outgoing connections. A port from that range could be taken by any client
// while the server is down, and a client that keeps dialling such a port on
// loopback can end up connected to itself.
func freePorts(ctx context.Context, n int) ([]int, claims, error) {
	highest := lowestOutgoingPort()
	ports := make([]int, 0, n)
	var taken claims

	for range 1000 {
		if len(ports) == n {
			return ports, taken, nil
		}

		port := lowestPort + rand.IntN(highest-lowestPort) //nolint:gosec // no secret
		claim, err := listen(ctx, claimAddress, port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}

		if portFree(ctx, port) {
			ports = append(ports, port)
			if err == nil {
				taken = append(taken, claim)
			}
		} else if err == nil {
			_ = claim.Close()
		}
	}

	return nil, nil, errors.New("finding a free port: none in a thousand tries")
}

// claims keep ports for as long as something refers to them, at most until the
// process ends.
type claims []net.Listener

func (c claims) release() {
	for _, claim := range c {
		_ = claim.Close()
	}
}

// claimAddress is where a port is claimed: the servers listen on 127.0.0.1, and
// nobody on this one. Where it cannot be had, as on systems whose loopback is a
// single address, there are no claims.
const claimAddress = "127.0.0.2"

// choosePort keeps the port that was asked for, or else the one from before if
// it is still free, so that addresses noted down elsewhere stay right.
func (s *server) choosePort(ctx context.Context, wanted, before int) (int, error) {
	if wanted != 0 {
		return wanted, nil
	}

	if before != 0 && portFree(ctx, before) {
		return before, nil
	}

	ports, taken, err := freePorts(ctx, 1)
	if err != nil {
		return 0, err
	}

	s.claims = append(s.claims, taken...)

	return ports[0], nil
}

func portFree(ctx context.Context, port int) bool {
	listener, err := listen(ctx, "127.0.0.1", port)
	if err != nil {
		return false
	}

	return listener.Close() == nil
}

func listen(ctx context.Context, address string, port int) (net.Listener, error) {
	var config net.ListenConfig

	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listening on port %d: %w", port, err)
	}

	return listener, nil
}

func lowestOutgoingPort() int {
	const usual = 32768

	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}

	lowest, _, _ := strings.Cut(string(text), "\t")

	port, err := strconv.Atoi(lowest)
	if err != nil || port < lowestPort+1000 {
		return usual
	}

	return port
}
