package http_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

func TestAUserWhoAsksTooOftenIsToldToWait(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Now().Unix())
	b := start(t, func(c *rest.Config) {
		c.RateLimit = 2
		c.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	chat := chatOf(t, b, 1, 2)
	paths := []string{"/chats/get-chats", "/messages/get-messages?chat_id=" + chat, "/chats/" + chat, "/messaging/chats/get-chats/"}
	for _, path := range paths {
		require.Equal(t, http.StatusOK, b.get(t, 1, path).status, "twice the rate passes at once")
	}
	for _, path := range paths {
		a := b.get(t, 1, path)
		require.Equal(t, http.StatusTooManyRequests, a.status)
		require.Equal(t, "1", a.header.Get("Retry-After"))
		require.Equal(t, "urn:chat-messaging:problem:too-many-requests", a.problem(t).Type)
	}
	require.Equal(t, http.StatusTooManyRequests, b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`).status, "whatever it is")
	require.Equal(t, http.StatusOK, b.get(t, 2, "/chats/get-chats").status, "others have shares of their own")
	require.Equal(t, http.StatusOK, b.get(t, 0, "/healthz").status)
	require.Equal(t, http.StatusUnauthorized, b.get(t, 0, "/chats/get-chats").status)

	now.Add(1)
	for range 2 {
		require.Equal(t, http.StatusOK, b.get(t, 1, "/chats/get-chats").status, "after a second there is a second's share")
	}
	require.Equal(t, http.StatusTooManyRequests, b.get(t, 1, "/chats/get-chats").status)
	refused, _ := b.metric(t, `chat_messaging_http_requests_total{method="GET",route="get_chats",status="429"}`)
	require.InEpsilon(t, 3, refused, 0)
}

func TestTheSharesOfManyUsersFitIntoLittleMemory(t *testing.T) {
	t.Parallel()
	shares := rest.NewRates(1)
	for range 2 {
		require.True(t, shares.Allow(1, noon))
	}
	var wg sync.WaitGroup
	for first := int64(2); first <= 5; first++ {
		wg.Go(func() {
			for user := first; user < 200_000; user += 4 {
				shares.Allow(user, noon)
				if user%1000 == 2 && shares.Allow(1, noon) {
					t.Error("who keeps asking is not forgotten")
					return
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, shares.Known(), 65_536)
	require.True(t, rest.NewRates(0).Allow(1, noon), "no bound")
}

func BenchmarkAShare(b *testing.B) {
	shares := rest.NewRates(1_000_000)
	b.RunParallel(func(pb *testing.PB) {
		for user := int64(0); pb.Next(); user++ {
			shares.Allow(user%1000, time.Now())
		}
	})
}
