package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jtiHorizon is how far ahead a token with a jti may expire; the gateway refuses to remember a jti for longer.
const jtiHorizon = time.Hour

// codeInvalidCredentials is the gateway's own code for an app it does not know.
const codeInvalidCredentials = 4002

// refusal is an answer that places no call: the gateway's public APIs give a list of messages with codes, which are not
// the HTTP status and often look like it.
type refusal struct {
	kind   string // the name under which it is counted
	status int
	code   int
	msg    string
}

func (r refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.msg) }

func unauthorized(format string, args ...any) *refusal {
	return &refusal{"unauthorized", http.StatusUnauthorized, http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

// verifier checks the JWT of a request.
type verifier struct {
	clientID   string
	secret     []byte
	requireJTI bool
	scope      Scope
	now        func() time.Time

	mu   sync.Mutex
	seen map[string]time.Time // jti → its expiry, after which the token is refused anyway
}

func newVerifier(c Config) *verifier {
	return &verifier{
		clientID: c.ClientID, secret: []byte(c.ClientSecret), requireJTI: c.RequireJTI, scope: c.Scope,
		now: time.Now, seen: map[string]time.Time{},
	}
}

// verify accepts a token once, or says why not.
func (v *verifier) verify(token string) *refusal {
	switch {
	case token == "":
		return unauthorized("the header auth is missing: send the JWT in it")
	case strings.ContainsAny(token, " \t"):
		return unauthorized("the header auth is no bare JWT: send the token alone, without Bearer")
	}
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err != nil {
		return unauthorized("the header auth holds no JWT: %v", err)
	}
	if parsed.Method != jwt.SigningMethodHS256 {
		return unauthorized("the JWT is signed with %v: apps mapped to API scopes sign with HS256", parsed.Header["alg"])
	}
	if appID, _ := claims["appId"].(string); appID != v.clientID {
		return &refusal{"unknown_app", http.StatusUnauthorized, codeInvalidCredentials, "Invalid SDK credentials"}
	}
	_, err = jwt.Parse(token, func(*jwt.Token) (any, error) { return v.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithTimeFunc(v.now))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return unauthorized("the JWT has expired: mint one for each request")
	case err != nil:
		return unauthorized("the JWT is not valid: %v", err)
	}
	if refused := v.once(claims); refused != nil {
		return refused
	}
	forbidden := &refusal{"forbidden", http.StatusForbidden, http.StatusForbidden, ""}
	switch v.scope {
	case ScopeMissing:
		forbidden.msg = "the app lacks the scope SmartAssist Dialout: map it and publish"
		return forbidden
	case ScopeUnpublished:
		forbidden.msg = "the app's scope SmartAssist Dialout is not published: publish it"
		return forbidden
	default:
		return nil
	}
}

// once refuses a jti that was seen before, or that the gateway would have to remember for too long.
func (v *verifier) once(claims jwt.MapClaims) *refusal {
	jti, _ := claims["jti"].(string)
	if jti == "" {
		if v.requireJTI {
			return unauthorized("the JWT has no jti and the app enforces it: add a random one")
		}
		return nil
	}
	now := v.now()
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil || expires.After(now.Add(jtiHorizon)) {
		return unauthorized("the JWT has a jti and no exp within an hour: set exp to a few minutes ahead")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, replayed := v.seen[jti]; replayed {
		return unauthorized("the JWT's jti was used before: mint a token for each request")
	}
	if len(v.seen) >= 1024 && len(v.seen)&(len(v.seen)-1) == 0 {
		// Forgetting at each doubling keeps the work per request constant.
		for old, until := range v.seen {
			if until.Before(now) {
				delete(v.seen, old)
			}
		}
	}
	v.seen[jti] = expires.Time
	return nil
}
