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
)

// lowestPort leaves the well-known and most registered ports alone.
const lowestPort = 10000

// freePorts returns n ports that nothing listens on.
//
// They lie below the range from which the kernel takes the local ends of
// outgoing connections. A port from that range could be taken by any client
// while the server is down, and a client that keeps dialling such a port on
// loopback can end up connected to itself.
func freePorts(ctx context.Context, n int) ([]int, error) {
	highest := lowestOutgoingPort()
	ports := make([]int, 0, n)

	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}

		port := lowestPort + rand.IntN(highest-lowestPort) //nolint:gosec // no secret
		// The listeners stay open until all are found, so that they differ.
		listener, err := listen(ctx, port)
		if err != nil {
			continue
		}
		defer listener.Close()

		ports = append(ports, port)
	}

	return nil, errors.New("finding a free port: none in a thousand tries")
}

// choosePort keeps the port that was asked for, or else the one from before if
// it is still free, so that addresses noted down elsewhere stay right.
func choosePort(ctx context.Context, wanted, before int) (int, error) {
	if wanted != 0 {
		return wanted, nil
	}

	if before != 0 && portFree(ctx, before) {
		return before, nil
	}

	ports, err := freePorts(ctx, 1)
	if err != nil {
		return 0, err
	}

	return ports[0], nil
}

func portFree(ctx context.Context, port int) bool {
	listener, err := listen(ctx, port)
	if err != nil {
		return false
	}

	return listener.Close() == nil
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	var config net.ListenConfig

	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
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
