package handlers_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"chat-messaging/handlers"
)

// What is remembered is what was decided: a question never gets the answer to one
// that differs in anything that the policies can ask about, in whatever order they
// come, from however many at a time, and however many there have been.
func TestDecisionsAreRememberedEachForItself(t *testing.T) {
	t.Parallel()
	policy, err := handlers.NewPolicy([]byte(`
@id("seven-may-all")
permit (principal == User::"7", action, resource);
@id("members-send")
permit (principal, action == Action::"send", resource)
when { principal in Chat::"this" && resource in Chat::"this" };
@id("members-read")
permit (principal, action == Action::"read", resource)
when { principal in Chat::"this" };
@id("nobody-writes-to-nine")
forbid (principal, action == Action::"send", resource == User::"9");`))
	require.NoError(t, err)
	want := func(action string, user int64, member bool, other int64, otherMember bool) string {
		switch {
		case action == "send" && other == 9:
			return "nobody-writes-to-nine"
		case user == 7:
			return "seven-may-all"
		case action == "send" && member && otherMember:
			return "members-send"
		case action == "read" && member:
			return "members-read"
		default:
			return handlers.DefaultDeny
		}
	}
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for round := range 2 {
				for user := int64(1); user < 12; user++ {
					for other := int64(1); other < 12; other++ {
						for _, action := range []string{"send", "read", "create_chat", "update_profile", "delete"} {
							for bits := range 4 {
								members := []int64{1000}
								if bits&1 != 0 {
									members = append(members, user)
								}
								if bits&2 != 0 {
									members = append(members, other)
								}
								is := bits&1 != 0 || bits&2 != 0 && user == other
								otherIs := bits&2 != 0 || bits&1 != 0 && user == other
								permit, id := policy.Decide(action, user, members, other)
								right := want(action, user, is, other, otherIs)
								if id != right || permit != (right != handlers.DefaultDeny && right != "nobody-writes-to-nine") {
									return fmt.Errorf("%s by %d among %v to %d, round %d: %q says %t, not %q", action, user, members, other, round, id, permit, right)
								}
							}
						}
					}
				}
			}
			return nil
		})
	}
	// More than are kept, so that what the others ask is forgotten in between.
	for user := int64(100); user < 80_100; user++ {
		permit, _ := policy.Decide("send", user, []int64{user, 1}, 1)
		require.True(t, permit)
	}
	require.NoError(t, g.Wait())
}
