package token_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"redial/internal/token"
)

const (
	oldSecret = "an-old-secret-of-a-length"
	newSecret = "a-new-secret-of-a-length!"
	attempt   = "redial/-/order-1234/0198c0de-0000-7000-8000-000000000001/3"
)

var now = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func keys(t testing.TB, text string) token.Keys {
	t.Helper()
	k, err := token.ParseKeys(text)
	require.NoError(t, err)
	return k
}

func mint(t testing.TB, k token.Keys, key string) string {
	t.Helper()
	s, err := k.Mint(key, now.Add(time.Hour))
	require.NoError(t, err)
	return s
}

func TestATokenNamesItsAttempt(t *testing.T) {
	for _, text := range []string{oldSecret, "a:" + oldSecret, "b:" + newSecret + ",a:" + oldSecret} {
		k := keys(t, text)
		key, late, err := k.Open(mint(t, k, attempt), now)
		require.NoError(t, err)
		require.False(t, late)
		require.Equal(t, attempt, key)
	}
}

func TestATokenPastItsExpiryIsLateAndNotForged(t *testing.T) {
	k := keys(t, oldSecret)
	for after, wantLate := range map[time.Duration]bool{time.Hour: false, time.Hour + time.Second: true, 365 * 24 * time.Hour: true} {
		key, late, err := k.Open(mint(t, k, attempt), now.Add(after))
		require.NoError(t, err)
		require.Equal(t, wantLate, late, after)
		require.Equal(t, attempt, key)
	}
}

func TestRotationOpensOldTokensAsLongAsTheOldKeyIsListed(t *testing.T) {
	old, both, gone := keys(t, "a:"+oldSecret), keys(t, "b:"+newSecret+",a:"+oldSecret), keys(t, "b:"+newSecret)
	unnamed := keys(t, oldSecret)
	for _, k := range []token.Keys{old, unnamed} {
		_, _, err := both.Open(mint(t, k, attempt), now)
		require.NoError(t, err)
		_, _, err = gone.Open(mint(t, k, attempt), now)
		require.ErrorIs(t, err, token.ErrForged)
	}
	_, _, err := old.Open(mint(t, both, attempt), now)
	require.ErrorIs(t, err, token.ErrForged, "the first key signs, and the old deployment does not know it")
}

func TestATokenIsOneShortPathSegment(t *testing.T) {
	k := keys(t, "0123456789abcdef:"+newSecret)
	longest := strings.Repeat("é", 128)
	for _, key := range []string{attempt, longest, strings.Repeat("x", 256)} {
		s := mint(t, k, key)
		require.LessOrEqual(t, len(s), 512)
		require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9._-]+$`), s)
		opened, _, err := k.Open(s, now)
		require.NoError(t, err)
		require.Equal(t, key, opened)
	}
}

func TestMintRefusesWhatCouldNotBeOpenedAgain(t *testing.T) {
	k := keys(t, oldSecret)
	for name, key := range map[string]string{"empty": "", "long": strings.Repeat("x", 257), "not UTF-8": "a\xff", "all escapes": strings.Repeat("<", 256)} {
		_, err := k.Mint(key, now)
		require.Error(t, err, name)
	}
	_, err := k.Mint(attempt, time.Time{})
	require.ErrorContains(t, err, "expiry")
	_, err = token.Keys{}.Mint(attempt, now)
	require.ErrorContains(t, err, "no key")
}

func TestForgedTokensAreForged(t *testing.T) {
	k := keys(t, "a:"+oldSecret)
	claims := jwt.MapClaims{"sub": attempt, "exp": now.Add(time.Hour).Unix(), "use": "notify"}
	sign := func(method jwt.SigningMethod, kid any, secret any, claims jwt.MapClaims) string {
		t := jwt.NewWithClaims(method, claims)
		if kid != nil {
			t.Header["kid"] = kid
		}
		s, err := t.SignedString(secret)
		if err != nil {
			panic(err)
		}
		return s
	}
	good := sign(jwt.SigningMethodHS256, "a", []byte(oldSecret), claims)
	_, _, err := k.Open(good, now)
	require.NoError(t, err, "the forgeries below differ from this one in one thing each")

	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"another","exp":9999999999,"use":"notify"}`))
	for name, forged := range map[string]string{
		"nothing":               "",
		"no token":              "rubbish",
		"dots only":             "..",
		"too long":              good + strings.Repeat("A", 512),
		"algorithm none":        sign(jwt.SigningMethodNone, "a", jwt.UnsafeAllowNoneSignatureType, claims),
		"another HMAC":          sign(jwt.SigningMethodHS512, "a", []byte(oldSecret), claims),
		"another secret":        sign(jwt.SigningMethodHS256, "a", []byte(newSecret), claims),
		"another secret no kid": sign(jwt.SigningMethodHS256, nil, []byte(newSecret), claims),
		"unknown kid":           sign(jwt.SigningMethodHS256, "b", []byte(oldSecret), claims),
		"empty kid":             sign(jwt.SigningMethodHS256, "", []byte(oldSecret), claims),
		"kid is no text":        sign(jwt.SigningMethodHS256, 7, []byte(oldSecret), claims),
		"another purpose":       sign(jwt.SigningMethodHS256, "a", []byte(oldSecret), jwt.MapClaims{"sub": attempt, "exp": 9999999999, "use": "result"}),
		"no purpose":            sign(jwt.SigningMethodHS256, "a", []byte(oldSecret), jwt.MapClaims{"sub": attempt, "exp": 9999999999}),
		"no subject":            sign(jwt.SigningMethodHS256, "a", []byte(oldSecret), jwt.MapClaims{"exp": 9999999999, "use": "notify"}),
		"no expiry":             sign(jwt.SigningMethodHS256, "a", []byte(oldSecret), jwt.MapClaims{"sub": attempt, "use": "notify"}),
		"payload swapped":       header + "." + other + "." + signature,
		"signature stripped":    header + "." + payload + ".",
		"signature cut":         good[:len(good)-1],
		"padding":               good + "=",
		"a trailing part":       good + ".x",
	} {
		key, late, err := k.Open(forged, now)
		require.ErrorIs(t, err, token.ErrForged, name)
		require.Empty(t, key, name)
		require.False(t, late, name)
	}
	_, _, err = token.Keys{}.Open(good, now)
	require.ErrorIs(t, err, token.ErrForged)
}

func TestPurposesAreNotInterchangeable(t *testing.T) {
	notify := keys(t, oldSecret)
	result := notify.For(token.Result)
	_, _, err := result.Open(mint(t, notify, attempt), now)
	require.ErrorIs(t, err, token.ErrForged)
	_, _, err = notify.Open(mint(t, result, attempt), now)
	require.ErrorIs(t, err, token.ErrForged)
	key, _, err := result.Open(mint(t, result, attempt), now)
	require.NoError(t, err)
	require.Equal(t, attempt, key)
}

func TestParseKeysSaysWhatIsWrongAndNeverShowsASecret(t *testing.T) {
	for text, says := range map[string]string{
		"":                                       "empty",
		"   ":                                    "empty",
		"short":                                  "at least 16",
		"a:tooshort":                             "at least 16",
		"a:" + oldSecret + "," + newSecret:       "no key id",
		oldSecret + ",b:" + newSecret:            "no key id",
		"a:" + oldSecret + ",a:" + newSecret:     "repeats the key id a",
		"a b:" + oldSecret:                       "key id",
		":" + oldSecret:                          "key id",
		"seventeen-letters:" + oldSecret:         "key id",
		"a:" + oldSecret + ",":                   "no key id",
		"a:" + oldSecret + ",b:" + newSecret[:9]: "key 2",
	} {
		_, err := token.ParseKeys(text)
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), "secret-of")
		require.NotContains(t, err.Error(), "tooshort")
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestPrintingKeysShowsNoSecret(t *testing.T) {
	k := keys(t, "a:"+oldSecret)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", k, k, k, k), "secret")
}

func FuzzOpenAcceptsOnlyWhatTheseKeysSigned(f *testing.F) {
	k, err := token.ParseKeys("a:" + oldSecret)
	require.NoError(f, err)
	good, err := k.Mint(attempt, now)
	require.NoError(f, err)
	for _, seed := range []string{"", ".", "..", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AA", good, good + "=", good[:40]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, _, err := k.Open(text, now)
		if err == nil && text != good {
			t.Fatalf("%q opened as %q", text, key)
		}
	})
}

func TestMaskHidesTokensInPaths(t *testing.T) {
	good := mint(t, keys(t, oldSecret), attempt)
	for path, want := range map[string]string{
		"/notify/" + good:                "/notify/…",
		"/notify/" + good + "/":          "/notify/…",
		"/redial/notify/" + good:         "/redial/notify/…",
		"/Notify/x/y":                    "/Notify/…",
		"/result/" + good + "?x=" + good: "/result/…?…",
		"https://host/notify/" + good:    "https://host/notify/…",
		"/other/" + good + "/more":       "/other/…/more",
		"/notify/%65yJ\n" + good:         "/notify/…",
		"/healthz":                       "/healthz",
		"/notify":                        "/notify",
		"/notify/":                       "/notify/",
		"":                               "",
	} {
		require.Equal(t, want, token.Mask(path))
	}
}
