package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/internal/notify"
	"redial/internal/token"
)

func TestAURLIsTheBaseThePathAndATokenForItsPurposeThatNamesTheAttempt(t *testing.T) {
	keys, err := token.ParseKeys("a-secret-of-some-length")
	require.NoError(t, err)
	for _, base := range []string{"https://calls.example.com", "https://calls.example.com/", "http://127.0.0.1:8081", "https://example.com/redial", "https://example.com/redial/"} {
		urls, err := notify.NewURLs(base, keys)
		require.NoError(t, err)
		for _, kind := range []struct {
			path   string
			opens  token.Keys
			makeIt func(string, time.Time) (string, error)
		}{{notify.Path, keys, urls.NotifyURL}, {notify.ResultPath, keys.For(token.Result), urls.ResultURL}} {
			url, err := kind.makeIt("redial/-/a/run/1", time.Now().Add(time.Hour))
			require.NoError(t, err)
			rest, found := strings.CutPrefix(url, strings.TrimSuffix(base, "/")+kind.path)
			require.True(t, found, url)
			key, late, err := kind.opens.Open(rest, time.Now())
			require.NoError(t, err)
			require.False(t, late)
			require.Equal(t, "redial/-/a/run/1", key)
		}
	}
	urls, err := notify.NewURLs("https://example.com", token.Keys{})
	require.NoError(t, err)
	_, err = urls.NotifyURL("k", time.Now())
	require.Error(t, err, "no key, no URL")
	_, err = urls.ResultURL("k", time.Now())
	require.Error(t, err, "no key, no URL")
}

func TestABaseThatTheGatewayCannotReachIsRefused(t *testing.T) {
	for _, base := range []string{"", "calls.example.com", "/notify", "ftp://example.com", "https://", "https://example.com?x=1", "https://example.com#x",
		"https://example.com/#", "https://user:secret@example.com", "https://exa mple.com", "://"} {
		_, err := notify.NewURLs(base, token.Keys{})
		require.Error(t, err, base)
		require.NotContains(t, err.Error(), "secret")
		require.NotContains(t, err.Error(), "\n")
	}
}
