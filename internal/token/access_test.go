package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"redial/internal/token"
)

func mintAccess(t *testing.T, k token.Keys) string {
	t.Helper()
	s, err := k.MintAccess("anna", []string{token.Read}, now, now.Add(time.Hour))
	require.NoError(t, err)
	return s
}

func TestABearerTokenNamesItsHolderAndItsScopesUntilItExpires(t *testing.T) {
	for _, text := range []string{oldSecret, "b:" + newSecret + ",a:" + oldSecret} {
		k := keys(t, text)
		bearer := mintAccess(t, k)
		name, scopes, err := k.OpenAccess(bearer, now.Add(time.Hour-time.Second))
		require.NoError(t, err)
		require.Equal(t, "anna", name)
		require.Equal(t, []string{"read"}, scopes)
		name, scopes, err = k.OpenAccess(bearer, now.Add(time.Hour))
		require.ErrorIs(t, err, token.ErrExpired)
		require.Empty(t, name)
		require.Empty(t, scopes)
	}
}

func TestABearerTokenOfAnOldKeyOpensAsLongAsTheKeyIsListed(t *testing.T) {
	bearer := mintAccess(t, keys(t, "a:"+oldSecret))
	_, _, err := keys(t, "b:"+newSecret+",a:"+oldSecret).OpenAccess(bearer, now)
	require.NoError(t, err)
	_, _, err = keys(t, "b:"+newSecret).OpenAccess(bearer, now)
	require.ErrorIs(t, err, token.ErrForged)
}

func TestATokenOfAURLIsNoBearerTokenAndTheOtherWayRoundUnderOneSecret(t *testing.T) {
	k := keys(t, oldSecret)
	for _, purpose := range []token.Purpose{token.Notify, token.Result} {
		_, _, err := k.OpenAccess(mint(t, k.For(purpose), attempt), now)
		require.ErrorIs(t, err, token.ErrForged)
		_, _, err = k.For(purpose).Open(mintAccess(t, k), now)
		require.ErrorIs(t, err, token.ErrForged)
	}
}

func TestForgedBearerTokensAreForgedAlsoWhenTheyHaveExpired(t *testing.T) {
	k := keys(t, "a:"+oldSecret)
	claims := func(change ...any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "anna", "exp": now.Add(time.Hour).Unix(), "aud": "redial-console", "scope": "read"}
		for i := 0; i < len(change); i += 2 {
			if c[change[i].(string)] = change[i+1]; change[i+1] == nil {
				delete(c, change[i].(string))
			}
		}
		return c
	}
	sign := func(method jwt.SigningMethod, secret any, c jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(method, c).SignedString(secret)
		require.NoError(t, err)
		return s
	}
	good := sign(jwt.SigningMethodHS256, []byte(oldSecret), claims())
	_, _, err := k.OpenAccess(good, now)
	require.NoError(t, err, "the forgeries below differ from this one in one thing each")
	past := now.Add(-time.Hour).Unix()
	for name, forged := range map[string]string{
		"nothing":                     "",
		"too long":                    good + strings.Repeat("A", 1024),
		"algorithm none":              sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
		"another HMAC":                sign(jwt.SigningMethodHS512, []byte(oldSecret), claims()),
		"another secret":              sign(jwt.SigningMethodHS256, []byte(newSecret), claims()),
		"another secret, and expired": sign(jwt.SigningMethodHS256, []byte(newSecret), claims("exp", past)),
		"another audience":            sign(jwt.SigningMethodHS256, []byte(oldSecret), claims("aud", "another")),
		"no audience":                 sign(jwt.SigningMethodHS256, []byte(oldSecret), claims("aud", nil)),
		"no audience, and expired":    sign(jwt.SigningMethodHS256, []byte(oldSecret), claims("aud", nil, "exp", past)),
		"no expiry":                   sign(jwt.SigningMethodHS256, []byte(oldSecret), claims("exp", nil)),
		"no name":                     sign(jwt.SigningMethodHS256, []byte(oldSecret), claims("sub", nil)),
		"signature cut":               good[:len(good)-1],
	} {
		holder, scopes, err := k.OpenAccess(forged, now)
		require.ErrorIs(t, err, token.ErrForged, name)
		require.Empty(t, holder+strings.Join(scopes, ""), name)
	}
	_, _, err = token.Keys{}.OpenAccess(good, now)
	require.ErrorIs(t, err, token.ErrForged)
}

func TestMintAccessRefusesWhatNobodyCouldUse(t *testing.T) {
	k := keys(t, oldSecret)
	for _, name := range []string{"", strings.Repeat("x", 101), "a\xff", "a\nb"} {
		_, err := k.MintAccess(name, nil, now, now.Add(time.Hour))
		require.ErrorContains(t, err, "is no name")
	}
	_, err := k.MintAccess("anna", nil, now, now)
	require.ErrorContains(t, err, "give a later time")
	_, err = token.Keys{}.MintAccess("anna", nil, now, now.Add(time.Hour))
	require.ErrorContains(t, err, "no key")
}
