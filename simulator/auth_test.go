package simulator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyATokenThatTheGatewayWouldTakePlacesACall(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T) string { return token(t, DefaultClientSecret, nil) }
	changed := func(change func(jwt.MapClaims)) func(*testing.T) string {
		return func(t *testing.T) string { return token(t, DefaultClientSecret, change) }
	}
	for name, c := range map[string]struct {
		config Config
		auth   func(*testing.T) string
		status int
		inBody string
	}{
		"a good token": {auth: good, status: 200},
		"without exp and jti, as in the documented example": {
			auth:   changed(func(m jwt.MapClaims) { delete(m, "exp"); delete(m, "jti"); delete(m, "iat") }),
			status: 200,
		},
		"none":                  {auth: func(*testing.T) string { return "" }, status: 401, inBody: `"code":401`},
		"with Bearer before it": {auth: func(t *testing.T) string { return "Bearer " + good(t) }, status: 401, inBody: "bare"},
		"no JWT":                {auth: func(*testing.T) string { return "abc" }, status: 401, inBody: "no JWT"},
		"signed by another key": {auth: func(t *testing.T) string { return token(t, "another-secret", nil) }, status: 401, inBody: "signature"},
		"of another app":        {auth: changed(func(m jwt.MapClaims) { m["appId"] = "cs-other" }), status: 401, inBody: `"code":4002`},
		"with appid in small":   {auth: changed(func(m jwt.MapClaims) { m["appid"] = m["appId"]; delete(m, "appId") }), status: 401, inBody: "Invalid SDK credentials"},
		"expired":               {auth: changed(func(m jwt.MapClaims) { m["exp"] = time.Now().Add(-time.Minute).Unix() }), status: 401, inBody: "expired"},
		"a jti for two hours":   {auth: changed(func(m jwt.MapClaims) { m["exp"] = time.Now().Add(2 * time.Hour).Unix() }), status: 401, inBody: "hour"},
		"a jti for ever":        {auth: changed(func(m jwt.MapClaims) { delete(m, "exp") }), status: 401, inBody: "hour"},
		"not valid yet":         {auth: changed(func(m jwt.MapClaims) { m["nbf"] = time.Now().Add(time.Hour).Unix() }), status: 401, inBody: "not valid"},
		"a missing, enforced jti": {
			config: Config{RequireJTI: true}, auth: changed(func(m jwt.MapClaims) { delete(m, "jti") }), status: 401, inBody: "jti",
		},
		"a missing scope":      {config: Config{Scope: ScopeMissing}, auth: good, status: 403, inBody: "lacks the scope SmartAssist Dialout"},
		"an unpublished scope": {config: Config{Scope: ScopeUnpublished}, auth: good, status: 403, inBody: "not published"},
		"another algorithm": {auth: func(t *testing.T) string {
			signed, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{"appId": DefaultClientID}).SignedString([]byte(DefaultClientSecret))
			require.NoError(t, err)
			return signed
		}, status: 401, inBody: "HS256"},
		"no algorithm": {auth: func(t *testing.T) string {
			unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"appId": DefaultClientID}).SignedString(jwt.UnsafeAllowNoneSignatureType)
			require.NoError(t, err)
			return unsigned
		}, status: 401, inBody: "HS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, c.config)
			response, text, err := d.post(dialoutPath, c.auth(t), d.with(nil))
			require.NoError(t, err)
			assert.Equal(t, c.status, response.StatusCode, text)
			assert.Contains(t, text, c.inBody)
			placed := 0
			if c.status == http.StatusOK {
				placed = 1
			} else {
				assert.True(t, strings.HasPrefix(text, `{"errors":[{`), text)
			}
			assert.Len(t, d.sim.Calls(), placed)
		})
	}
}

func TestATokenWithAJTIIsGoodOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	once := token(t, DefaultClientSecret, nil)
	first, _, err := d.post(dialoutPath, once, d.with(nil))
	require.NoError(t, err)
	d.sim.Reset()
	second, text, err := d.post(dialoutPath, once, d.with(nil))
	require.NoError(t, err)
	assert.Equal(t, 200, first.StatusCode)
	assert.Equal(t, 401, second.StatusCode, text)
	assert.Contains(t, text, "used before")
	assert.Equal(t, 1, d.sim.Stats().Refused["unauthorized"])
}

func TestJTIsAreForgottenAfterTheyExpire(t *testing.T) {
	t.Parallel()
	v := newVerifier(Config{}.withDefaults())
	now := time.Now()
	v.now = func() time.Time { return now }
	for range 5000 {
		require.Nil(t, v.verify(token(t, DefaultClientSecret, func(m jwt.MapClaims) { m["exp"] = now.Add(time.Minute).Unix() })))
		now = now.Add(time.Second)
	}
	assert.Less(t, len(v.seen), 1100, "a gateway that runs for weeks must not remember every token")
}
