package koreai_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
)

func TestWithoutAByteOnTheWireTheCallIsNotPlaced(t *testing.T) {
	serverTLS, trusted := certificates(t)
	drain := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

	t.Run("connection refused", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		answer := dial(t, config("http://"+listener.Addr().String()))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Contains(t, answer.Message, "refused")
	})
	t.Run("name does not resolve", func(t *testing.T) {
		answer := client(t, config("http://nowhere.invalid")).Dial(t.Context(), request(), notifyURL, time.Now().Add(time.Second))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Contains(t, answer.Message, "nowhere.invalid")
	})
	t.Run("TLS handshake stalls until the send deadline", func(t *testing.T) {
		g := serve(t, "https", plainly, drain)
		started := time.Now()
		answer := client(t, config(g.url)).Dial(t.Context(), request(), notifyURL, started.Add(100*time.Millisecond))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Contains(t, answer.Message, "send deadline")
		require.Less(t, time.Since(started), time.Second)
		require.NotContains(t, g.seen(), "POST")
	})
	t.Run("TLS handshake ends after the send deadline", func(t *testing.T) {
		g := serve(t, "https", handshake(serverTLS, 150*time.Millisecond), drain)
		cfg := config(g.url)
		cfg.RootCAs = trusted
		answer := client(t, cfg).Dial(t.Context(), request(), notifyURL, time.Now().Add(50*time.Millisecond))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		time.Sleep(200 * time.Millisecond)
		require.Empty(t, g.seen())
	})
	t.Run("certificate is not trusted", func(t *testing.T) {
		g := serve(t, "https", handshake(serverTLS, 0), drain)
		answer := dial(t, config(g.url))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Contains(t, answer.Message, "certificate")
		require.Empty(t, g.seen())
	})
	t.Run("certificate is for another host", func(t *testing.T) {
		g := serve(t, "https", handshake(serverTLS, 0), drain)
		cfg := config(strings.Replace(g.url, "127.0.0.1", "localhost", 1))
		cfg.RootCAs = trusted
		answer := dial(t, cfg)
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Empty(t, g.seen())
	})
	t.Run("reset during the TLS handshake", func(t *testing.T) {
		g := serve(t, "https", plainly, reset)
		require.Equal(t, call.AnswerNotPlaced, dial(t, config(g.url)).Class)
		require.Empty(t, g.seen())
	})
	t.Run("plain HTTP where TLS is spoken", func(t *testing.T) {
		g := serve(t, "https", plainly, func(c net.Conn) { _, _ = io.WriteString(c, httpAnswer("400 Bad Request", "", "")) })
		require.Equal(t, call.AnswerNotPlaced, dial(t, config(g.url)).Class)
	})
	t.Run("send deadline passed before", func(t *testing.T) {
		g := answers(t, httpAnswer("201 Created", "", "{}"))
		for _, sendBy := range []time.Time{{}, time.Now().Add(-time.Millisecond), time.Now()} {
			answer := client(t, config(g.url)).Dial(t.Context(), request(), notifyURL, sendBy)
			require.Equal(t, call.AnswerNotPlaced, answer.Class)
			require.Contains(t, answer.Message, "send deadline")
		}
		require.Empty(t, g.seen())
	})
	t.Run("canceled before", func(t *testing.T) {
		g := answers(t, httpAnswer("201 Created", "", "{}"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		answer := client(t, config(g.url)).Dial(ctx, request(), notifyURL, time.Now().Add(time.Second))
		require.Equal(t, call.AnswerNotPlaced, answer.Class)
		require.Contains(t, answer.Message, "canceled")
		require.Empty(t, g.seen())
	})
}

func TestAfterAByteOnTheWireEveryFailureIsUnknown(t *testing.T) {
	say := func(text string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, text) } }
	oneByte := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }
	for name, g := range map[string]*gateway{
		"reset before the request was read":  serve(t, "http", plainly, func(c net.Conn) { oneByte(c); reset(c) }),
		"closed before the request was read": serve(t, "http", plainly, oneByte),
		"reset after the request was read":   plain(t, reset),
		"closed after the request was read":  plain(t, func(net.Conn) {}),
		"half a status line":                 plain(t, say("HTTP/1.1 20")),
		"half the headers":                   plain(t, say("HTTP/1.1 201 Created\r\nContent-")),
		"an interim answer only":             plain(t, say("HTTP/1.1 100 Continue\r\n\r\n")),
		"rubbish":                            plain(t, say("SSH-2.0-OpenSSH_9.6\r\n")),
		"HTTP/2":                             plain(t, say("\x00\x00\x12\x04\x00\x00\x00\x00\x00")),
		"a status that is none":              plain(t, say("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n")),
		"another protocol":                   plain(t, say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")),
		"headers without end":                plain(t, say("HTTP/1.1 201 Created\r\n"+strings.Repeat("X-Padding: xxxxxxxxxxxxxxxx\r\n", 10000))),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, call.AnswerUnknown, dial(t, config(g.url)).Class)
			require.Equal(t, 1, g.connected(), "never sent again")
			require.NotEmpty(t, g.seen())
		})
	}
	stall := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }
	t.Run("no answer in time", func(t *testing.T) {
		g := plain(t, stall)
		cfg := config(g.url)
		cfg.ResponseTimeout = 100 * time.Millisecond
		answer := dial(t, cfg)
		require.Equal(t, call.AnswerUnknown, answer.Class)
		require.Contains(t, answer.Message, "time ran out")
		require.Equal(t, 1, g.connected())
	})
	t.Run("canceled while waiting", func(t *testing.T) {
		g := plain(t, stall)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.Equal(t, call.AnswerUnknown, client(t, config(g.url)).Dial(ctx, request(), notifyURL, time.Now().Add(time.Second)).Class)
	})
	t.Run("under TLS too", func(t *testing.T) {
		serverTLS, trusted := certificates(t)
		g := serve(t, "https", handshake(serverTLS, 0), oneByte)
		cfg := config(g.url)
		cfg.RootCAs = trusted
		require.Equal(t, call.AnswerUnknown, dial(t, cfg).Class)
		require.NotEmpty(t, g.seen())
	})
	t.Run("the send deadline bounds the first byte and not the answer", func(t *testing.T) {
		g := plain(t, func(c net.Conn) {
			time.Sleep(150 * time.Millisecond)
			_, _ = io.WriteString(c, httpAnswer("201 Created", "", `{"sid":"s"}`))
		})
		answer := client(t, config(g.url)).Dial(t.Context(), request(), notifyURL, time.Now().Add(100*time.Millisecond))
		require.Equal(t, call.AnswerPlaced, answer.Class)
	})
}

func TestEveryStatusHasItsClass(t *testing.T) {
	const limit = `{"errors":[{"msg":"You've exceeded the per-minute rate limit. Please wait for sometime before retrying."}]}`
	for _, c := range []struct {
		status, headers, body string
		class                 call.AnswerClass
		requests              int
	}{
		{"200 OK", "", `{"sid":"s"}`, call.AnswerPlaced, 1},
		{"201 Created", "", ``, call.AnswerPlaced, 1},
		{"202 Accepted", "", `<html>rubbish`, call.AnswerPlaced, 1},
		{"204 No Content", "", ``, call.AnswerPlaced, 1},
		{"201 Created", "Content-Length: 500\r\n", `{"sid":`, call.AnswerPlaced, 1},

		{"301 Moved Permanently", "Location: /elsewhere\r\n", "", call.AnswerNotPlaced, 1},
		{"302 Found", "Location: https://user:pass@login.example/?token=abc\r\n", "", call.AnswerNotPlaced, 1},
		{"304 Not Modified", "", "", call.AnswerNotPlaced, 1},
		{"307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", "", call.AnswerNotPlaced, 1},
		{"308 Permanent Redirect", "Location: http://127.0.0.1:1/\r\n", "", call.AnswerNotPlaced, 1},

		{"400 Bad Request", "", limit, call.AnswerThrottled, 1},
		{"401 Unauthorized", "", limit, call.AnswerThrottled, 1},
		{"403 Forbidden", "", "Too Many Requests", call.AnswerThrottled, 1},
		{"429 Too Many Requests", "", "", call.AnswerThrottled, 1},
		{"480 Temporarily Unavailable", "", `{"msg":"no available feature servers at this time"}`, call.AnswerThrottled, 1},
		{"503 Service Unavailable", "Retry-After: 7\r\n", "", call.AnswerThrottled, 1},

		{"400 Bad Request", "", `{"errors":["target is invalid"]}`, call.AnswerRefused, 1},
		{"400 Bad Request", "", `{"message":"metadata exceeds the limit of 4096 bytes"}`, call.AnswerRefused, 1},
		{"401 Unauthorized", "", `{"errors":[{"msg":"Invalid SDK credentials","code":4002}]}`, call.AnswerRefused, 2},
		{"402 Payment Required", "", "", call.AnswerRefused, 1},
		{"403 Forbidden", "", "", call.AnswerRefused, 1},
		{"404 Not Found", "", "", call.AnswerRefused, 1},
		{"408 Request Timeout", "", "", call.AnswerRefused, 1},
		{"409 Conflict", "", "", call.AnswerRefused, 1},
		{"422 Unprocessable Entity", "", "", call.AnswerRefused, 1},

		{"500 Internal Server Error", "", limit, call.AnswerUnknown, 1},
		{"500 Internal Server Error", "Retry-After: 7\r\n", "", call.AnswerUnknown, 1},
		{"501 Not Implemented", "", "", call.AnswerUnknown, 1},
		{"502 Bad Gateway", "", "<html><head><title>502 Bad Gateway</title></head>", call.AnswerUnknown, 1},
		{"503 Service Unavailable", "", "", call.AnswerUnknown, 1},
		{"503 Service Unavailable", "Retry-After: soon\r\n", "", call.AnswerUnknown, 1},
		{"504 Gateway Timeout", "", "", call.AnswerUnknown, 1},
	} {
		t.Run(c.status+" "+c.headers+c.body, func(t *testing.T) {
			g := answers(t, httpAnswer(c.status, c.headers, c.body))
			answer := dial(t, config(g.url))
			require.Equal(t, c.class, answer.Class, answer.Message)
			require.Equal(t, c.requests, strings.Count(g.seen(), "POST "))
			require.Equal(t, c.status[:3], fmt.Sprint(answer.HTTPStatus))
			if c.class != call.AnswerPlaced {
				require.Contains(t, answer.Message, c.status[:3])
			}
		})
	}
}

func TestTrap12EveryIdOfTheAnswerIsKeptAndNoneIsNeeded(t *testing.T) {
	for body, want := range map[string]call.DialAnswer{
		`{"sid":"f9bd46ab-ecbd-4216-842e-0c58db3axxxx","callId":"2c01240f-6880-123c-179b-02d8f501xxxx"}`: {SID: "f9bd46ab-ecbd-4216-842e-0c58db3axxxx", CallID: "2c01240f-6880-123c-179b-02d8f501xxxx"},
		`{"conversationId":"c"}`:      {ConversationID: "c"},
		`{"SID":7,"callid":"\u0000"}`: {SID: "7"},
		`{}`:                          {},
		`[{"sid":"s"}]`:               {},
		`{"sid":"s"`:                  {},
		`queued`:                      {},
		strings.Repeat("x", 200_000):  {},
	} {
		answer := dial(t, config(answers(t, httpAnswer("201 Created", "", body)).url))
		want.Class, want.HTTPStatus = call.AnswerPlaced, 201
		if want.SID+want.CallID+want.ConversationID == "" {
			want.Message = "the gateway took the call and named no id"
		}
		require.Equal(t, want, answer, "%.80s", body)
	}
}

func TestInterimAnswersArePassedOver(t *testing.T) {
	g := answers(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+httpAnswer("201 Created", "", `{"sid":"s"}`))
	require.Equal(t, "s", dial(t, config(g.url)).SID)
}

func TestRetryAfterIsReadInBothFormsAndBounded(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": time.Second, " 30 ": 30 * time.Second, "3600": time.Hour, "86400": time.Hour, "9223372036854775807": time.Hour,
		in(-time.Hour): time.Second, in(30 * time.Hour): time.Hour, in(30 * time.Second): 30 * time.Second,
		"-5": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
	} {
		answer := dial(t, config(answers(t, httpAnswer("429 Too Many Requests", "Retry-After: "+header+"\r\n", "")).url))
		require.Equal(t, call.AnswerThrottled, answer.Class)
		require.InDelta(t, want.Seconds(), answer.RetryAfter.Seconds(), 2, header)
		require.True(t, answer.RetryAfter == 0 || answer.RetryAfter >= time.Second, header)
		require.LessOrEqual(t, answer.RetryAfter, time.Hour)
	}
}

func TestThe401IsTriedOnceMoreWithAFreshJWT(t *testing.T) {
	first := true
	g := plain(t, func(c net.Conn) {
		status := "201 Created"
		if first {
			status, first = "401 Unauthorized", false
		}
		_, _ = io.WriteString(c, httpAnswer(status, "", `{"sid":"s"}`))
	})
	require.Equal(t, call.AnswerPlaced, dial(t, config(g.url)).Class)
	require.Equal(t, 2, g.connected())
	tokens := authHeaders(t, g.seen())
	require.Len(t, tokens, 2)
	require.NotEqual(t, tokens[0], tokens[1])
}

func TestThe401WithNoTimeLeftIsNotPlacedAndNotSentAgain(t *testing.T) {
	g := plain(t, func(c net.Conn) {
		time.Sleep(120 * time.Millisecond)
		_, _ = io.WriteString(c, httpAnswer("401 Unauthorized", "", ""))
	})
	answer := client(t, config(g.url)).Dial(t.Context(), request(), notifyURL, time.Now().Add(100*time.Millisecond))
	require.Equal(t, call.AnswerNotPlaced, answer.Class)
	require.Equal(t, 1, g.connected())
}

func TestARedirectIsNotFollowedAndNamesWhereItLeads(t *testing.T) {
	target := answers(t, httpAnswer("201 Created", "", `{"sid":"s"}`))
	g := answers(t, httpAnswer("307 Temporary Redirect", "Location: "+target.url+"/x?key=topsecret\r\n", ""))
	answer := dial(t, config(g.url))
	require.Equal(t, call.AnswerNotPlaced, answer.Class)
	require.Contains(t, answer.Message, target.url+"/x")
	require.NotContains(t, answer.Message, "topsecret")
	require.Zero(t, target.connected())
}

func TestErrorBodiesOfEveryKnownShapeBecomeOneLine(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"msg":"Scope missing","code":4002}]}`:     "Scope missing (code 4002)",
		`{"errors":["target is invalid","caller is missing"]}`: "target is invalid; caller is missing",
		`{"msg":"no trunk"}`:                                       "no trunk",
		`{"message":"no trunk"}`:                                   "no trunk",
		`{"status":"failed","message":"no trunk","data":null}`:     "no trunk",
		`{"error":{"message":"no trunk"}}`:                         "no trunk",
		"no\r\ntrunk\x1b[31m\u2028":                                "no trunk [31m",
		"<html><head><title>Access  denied</title></head><p>x</p>": "Access denied",
		"<p>no <b>trunk</b></p>":                                   "no trunk",
		`{"detail":"odd"}`:                                         `{"detail":"odd"}`,
	} {
		answer := dial(t, config(answers(t, httpAnswer("400 Bad Request", "", body)).url))
		require.Equal(t, "the gateway answered 400 Bad Request: "+want, answer.Message)
	}
	require.Equal(t, "the gateway answered 400 Bad Request", dial(t, config(answers(t, httpAnswer("400 Bad Request", "", "")).url)).Message)
}

func TestAMessageNeverRepeatsSecretsOrTheNumber(t *testing.T) {
	for _, status := range []string{"400 Bad Request", "401 Unauthorized", "500 Internal Server Error"} {
		echo := serve(t, "http", plainly, func(c net.Conn) {
			raw := make([]byte, 64<<10)
			n, _ := c.Read(raw)
			_, _ = io.WriteString(c, httpAnswer(status, "", secret+" "+notifyURL+" "+resultURL+" +14155550100 "+string(raw[:n])))
		})
		answer := dial(t, config(echo.url))
		require.Contains(t, answer.Message, "…00")
	}
}

func TestHTTPSIsSpokenAsHTTP1OnAConnectionOfItsOwn(t *testing.T) {
	var protocols, connections []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols, connections = append(protocols, r.Proto), append(connections, r.RemoteAddr)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"s","callId":"k"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	cfg := config(server.URL)
	cfg.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for range 2 {
		require.Equal(t, call.DialAnswer{Class: call.AnswerPlaced, HTTPStatus: 201, SID: "s", CallID: "k"}, dial(t, cfg))
	}
	require.Equal(t, []string{"HTTP/1.1", "HTTP/1.1"}, protocols)
	require.NotEqual(t, connections[0], connections[1])
}

func TestAProxyIsReachedByConnectAndItsFailuresPlaceNoCall(t *testing.T) {
	serverTLS, trusted := certificates(t)
	target := serve(t, "https", handshake(serverTLS, 0), func(c net.Conn) {
		if readRequest(c) == nil {
			_, _ = io.WriteString(c, httpAnswer("201 Created", "", `{"sid":"s"}`))
		}
	})
	through := func(proxy string) call.DialAnswer {
		cfg := config(target.url)
		cfg.RootCAs = trusted
		cfg.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
		return client(t, cfg).Dial(t.Context(), request(), notifyURL, time.Now().Add(400*time.Millisecond))
	}
	good := plain(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		onward, err := net.Dial("tcp", strings.TrimPrefix(target.url, "https://"))
		if err != nil {
			return
		}
		defer onward.Close()
		go func() { _, _ = io.Copy(onward, c) }()
		_, _ = io.Copy(c, onward)
	})
	answer := through(strings.Replace(good.url, "http://", "http://user:proxy-password@", 1))
	require.Equal(t, call.AnswerPlaced, answer.Class, answer.Message)
	require.Contains(t, good.seen(), "CONNECT "+strings.TrimPrefix(target.url, "https://"))
	require.Contains(t, good.seen(), "Proxy-Authorization: Basic dXNlcjpwcm94eS1wYXNzd29yZA==")
	require.NotContains(t, good.seen(), "POST", "the request passes the proxy under TLS")

	before := target.connected()
	for name, proxy := range map[string]string{
		"407":       answers(t, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").url,
		"closed":    plain(t, func(net.Conn) {}).url,
		"supported": "socks5://127.0.0.1:1",
		"refused":   "http://127.0.0.1:1",
	} {
		answer := through(proxy)
		require.Equal(t, call.AnswerNotPlaced, answer.Class, name)
		require.Contains(t, answer.Message, "proxy", name)
		require.NotContains(t, answer.Message, "proxy-password")
	}
	stalled := plain(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	require.Contains(t, through(stalled.url).Message, "send deadline")
	require.Equal(t, before, target.connected())
}
