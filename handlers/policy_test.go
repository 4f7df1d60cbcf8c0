package handlers_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
)

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)

	for _, tc := range []struct {
		name    string
		action  string
		user    int64
		members []int64
		other   int64
		want    string // the deciding policy; none permits but those that say so
	}{
		{"a member sends to the other", "send", 1, []int64{1, 2}, 2, "members-send"},
		{"the other sends back", "send", 2, []int64{1, 2}, 1, "members-send"},
		{"a member of three sends to one", "send", 3, []int64{1, 2, 3}, 1, "members-send"},
		{"the largest ids", "send", 1<<63 - 1, []int64{1<<63 - 2, 1<<63 - 1}, 1<<63 - 2, "members-send"},
		{"a stranger sends to a member", "send", 3, []int64{1, 2}, 2, handlers.DefaultDeny},
		{"a member sends to a stranger", "send", 1, []int64{1, 2}, 3, handlers.DefaultDeny},
		{"a stranger sends to a stranger", "send", 3, []int64{1, 2}, 4, handlers.DefaultDeny},
		{"a member sends to themselves", "send", 1, []int64{1, 2}, 1, handlers.DefaultDeny},
		{"somebody sends to a chat of nobody", "send", 1, nil, 2, handlers.DefaultDeny},

		{"a member reads", "read", 1, []int64{1, 2}, 0, "members-read"},
		{"a stranger reads", "read", 3, []int64{1, 2}, 0, handlers.DefaultDeny},
		{"a stranger reads who is named as other", "read", 3, []int64{1, 2}, 3, handlers.DefaultDeny},
		{"somebody reads a chat of nobody", "read", 1, nil, 0, handlers.DefaultDeny},

		{"somebody creates a chat with themselves in it", "create_chat", 2, []int64{2, 1}, 0, "members-create-chat"},
		{"somebody creates a chat of others", "create_chat", 3, []int64{1, 2}, 0, handlers.DefaultDeny},

		{"somebody updates their profile", "update_profile", 1, nil, 1, "own-profile"},
		{"somebody updates another profile", "update_profile", 1, nil, 2, handlers.DefaultDeny},
		{"a member updates the profile of another", "update_profile", 1, []int64{1, 2}, 2, handlers.DefaultDeny},

		{"an action that does not exist", "delete", 1, []int64{1, 2}, 1, handlers.DefaultDeny},
		{"no action", "", 1, []int64{1, 2}, 2, handlers.DefaultDeny},
		{"an action with a quote in it", `send"`, 1, []int64{1, 2}, 2, handlers.DefaultDeny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			permit, id := policy.Decide(tc.action, tc.user, tc.members, tc.other)
			assert.Equal(t, tc.want != handlers.DefaultDeny, permit)
			assert.Equal(t, tc.want, id)
		})
	}
}

func TestPolicyCanBeReplaced(t *testing.T) {
	t.Parallel()
	policy, err := handlers.NewPolicy([]byte(`
		@id("everybody-sends")
		permit (principal, action == Action::"send", resource);

		@id("admins-do-anything")
		permit (principal == User::"1", action, resource);

		@id("user-13-is-blocked")
		forbid (principal == User::"13", action, resource);

		@id("nobody-writes-to-user-14")
		forbid (principal, action == Action::"send", resource == User::"14");

		@id("outsiders-do-not-read")
		forbid (principal, action == Action::"read", resource == Chat::"this")
		unless { principal in Chat::"this" };
	`))
	require.NoError(t, err)

	for _, tc := range []struct {
		action  string
		user    int64
		members []int64
		other   int64
		permit  bool
		id      string
	}{
		{"send", 7, nil, 8, true, "everybody-sends"},
		{"send", 1, nil, 8, true, "everybody-sends"}, // two permit: the first is named
		{"read", 1, []int64{1}, 0, true, "admins-do-anything"},
		{"read", 1, []int64{2}, 0, false, "outsiders-do-not-read"},
		{"send", 13, []int64{13, 8}, 8, false, "user-13-is-blocked"},
		{"send", 13, []int64{13, 14}, 14, false, "user-13-is-blocked"},
		{"send", 7, nil, 14, false, "nobody-writes-to-user-14"},
		{"update_profile", 7, nil, 7, false, handlers.DefaultDeny},
		{"update_profile", 1, nil, 7, true, "admins-do-anything"},
	} {
		permit, id := policy.Decide(tc.action, tc.user, tc.members, tc.other)
		assert.Equal(t, tc.permit, permit, "%+v", tc)
		assert.Equal(t, tc.id, id, "%+v", tc)
	}
}

// Cedar by itself skips a policy that it cannot evaluate, even a forbid.
func TestAPolicyThatCannotBeEvaluatedDenies(t *testing.T) {
	t.Parallel()
	policy, err := handlers.NewPolicy([]byte(`
		@id("everybody") permit (principal, action, resource);
		@id("mistaken") forbid (principal, action == Action::"send", resource) when { principal.banned };
	`))
	require.NoError(t, err)

	permit, id := policy.Decide("send", 1, []int64{1, 2}, 2)
	assert.False(t, permit)
	assert.Equal(t, "mistaken", id)

	permit, id = policy.Decide("read", 1, []int64{1, 2}, 0)
	assert.True(t, permit)
	assert.Equal(t, "everybody", id)
}

func TestNewPolicyRefusesWhatWouldSurpriseItsAuthor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "there are none"},
		{"only comments", "// permit (principal, action, resource);\n", "there are none"},
		{"not Cedar", "allow all", ":1:7 "},
		{"a mistake in the third line", "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal = 1 };", ":3:20 "},
		{"a missing semicolon", `@id("a") permit (principal, action, resource)`, ":1:46 "},
		{"no id", "@id(\"a\") permit (principal, action, resource);\n  permit (principal, action, resource);", "line 2, column 3"},
		{"an empty id", `@id("") permit (principal, action, resource);`, "has no @id"},
		{"one id twice", "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);", `line 2, column 1: the @id "a" is taken`},
		{"the id of no policy", `@id("default-deny") permit (principal, action, resource);`, "is taken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			policy, err := handlers.NewPolicy([]byte(tc.text))
			require.Error(t, err)
			assert.Nil(t, policy)
			assert.Contains(t, err.Error(), "parsing policies: ")
			assert.Contains(t, err.Error(), tc.want)
		})
	}
}

func TestNewPolicyReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := handlers.NewPolicy([]byte("permit (principal, action, resource);\nforbid (principal, action, resource);"))
	require.Error(t, err)
	assert.Contains(t, err.Error(), "line 1")
	assert.Contains(t, err.Error(), "line 2")
}

func TestDecideIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	var all sync.WaitGroup
	for user := range int64(4) {
		all.Go(func() {
			for range 200 {
				permit, _ := policy.Decide("send", user, []int64{0, 2, 9}, 9)
				assert.Equal(t, user%2 == 0, permit)
			}
		})
	}
	all.Wait()
}

func BenchmarkDecide(b *testing.B) {
	policy, err := handlers.DefaultPolicy()
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name, action string
		user, other  int64
	}{
		{"send", "send", 4007, 90001},
		{"send denied", "send", 4008, 90001},
		{"read", "read", 4007, 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			members := []int64{4007, 90001}
			b.ReportAllocs()
			for b.Loop() {
				policy.Decide(bench.action, bench.user, members, bench.other)
			}
		})
	}
}
