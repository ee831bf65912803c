package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"redial/internal/token"
)

// scopeRead allows to look at everything.
const scopeRead = token.Read

// who is the key under which a request's context names whom its token was made for.
const who = "who"

// allow lets a request pass whose bearer token has the scope; without Tokens every one.
func (k *Console) allow(scope string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if k.Tokens == nil {
			return
		}
		scheme, bearer, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
			c.Header("WWW-Authenticate", `Bearer realm="redial"`)
			refuse(c, http.StatusUnauthorized, "send Authorization: Bearer TOKEN, with a token of redial token")
			return
		}
		name, scopes, err := k.Tokens.OpenAccess(bearer, time.Now())
		switch {
		case err != nil:
			c.Header("WWW-Authenticate", `Bearer realm="redial", error="invalid_token"`)
			refuse(c, http.StatusUnauthorized, err.Error()+"; make another one with redial token")
		case !slices.Contains(scopes, scope):
			c.Header("WWW-Authenticate", `Bearer realm="redial", error="insufficient_scope", scope="`+scope+`"`)
			refuse(c, http.StatusForbidden, "the token lacks the scope "+scope)
		default:
			c.Set(who, name)
		}
	}
}

// onlyThisMachine refuses who is elsewhere, and who came by another name: a page of somebody else's, whose name was made to lead
// here (DNS rebinding), would be let in by the browser of a person at this machine.
func onlyThisMachine(c *gin.Context) {
	switch peer, err := netip.ParseAddrPort(c.Request.RemoteAddr); {
	case err != nil || !peer.Addr().Unmap().IsLoopback():
		refuse(c, http.StatusForbidden, "without REDIAL_CONSOLE_SECRET only this machine is served")
	case !loopbackName(c.Request.Host):
		refuse(c, http.StatusMisdirectedRequest, "without REDIAL_CONSOLE_SECRET only localhost and loopback addresses are names of this console")
	}
}

func loopbackName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
