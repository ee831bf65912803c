package koreai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/koreai"
)

// sent is one dialout request as a server reads it.
type sent struct {
	method, path, query string
	header              http.Header
	body                string
}

// capture is a server that takes every call, and what was sent to it.
func capture(t *testing.T) (baseURL string, requests *[]sent) {
	t.Helper()
	requests = new([]sent)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*requests = append(*requests, sent{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header, string(body)})
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// send dials and returns the one request that was sent.
func send(t *testing.T, req call.DialRequest) sent {
	t.Helper()
	baseURL, requests := capture(t)
	answer := client(t, config(baseURL)).Dial(t.Context(), req, notifyURL, time.Now().Add(time.Second))
	require.Equal(t, call.AnswerPlaced, answer.Class, answer.Message)
	require.Len(t, *requests, 1)
	return (*requests)[0]
}

// authHeaders finds the JWTs in the raw requests that a server has seen.
func authHeaders(t *testing.T, raw string) []string {
	t.Helper()
	var tokens []string
	for _, m := range regexp.MustCompile(`(?m)^auth: (\S+)\r$`).FindAllStringSubmatch(raw, -1) {
		tokens = append(tokens, m[1])
	}
	return tokens
}

func TestTrap01And02ThePathIsBuiltFromTheBaseURLAndTheEscapedBotID(t *testing.T) {
	for _, c := range []struct {
		base, bot string
		api       koreai.API
		endpoint  string
	}{
		{"https://platform.kore.ai", "st-1", "", "https://platform.kore.ai/api/1.1/public/bot/st-1/smartassist/dialout"},
		{"https://platform.kore.ai/", "st-1", koreai.V1, "https://platform.kore.ai/api/1.1/public/bot/st-1/smartassist/dialout"},
		{"https://platform.kore.ai///", "st-1", koreai.V2, "https://platform.kore.ai/api/1.1/public/bot/st-1/V2/smartassist/dialout"},
		{"http://127.0.0.1:9/proxy//kore/", "st-1", "V2", "http://127.0.0.1:9/proxy/kore/api/1.1/public/bot/st-1/V2/smartassist/dialout"},
		{"https://platform.kore.ai//evil.example", "st-1", "", "https://platform.kore.ai/evil.example/api/1.1/public/bot/st-1/smartassist/dialout"},
		{"https://[::1]:8443", "a/../b?c#d e%", "", "https://[::1]:8443/api/1.1/public/bot/a%2F..%2Fb%3Fc%23d%20e%25/smartassist/dialout"},
	} {
		cfg := config(c.base)
		cfg.BotID, cfg.API = c.bot, c.api
		require.Equal(t, c.endpoint, client(t, cfg).Endpoint())
	}
}

func TestAWrongConfigurationNamesItsFieldInOneLine(t *testing.T) {
	good := config("https://platform.kore.ai")
	for _, c := range []struct {
		field, says string
		spoil       func(*koreai.Config)
	}{
		{"BaseURL", "missing", func(c *koreai.Config) { c.BaseURL = "" }},
		{"BaseURL", "https://", func(c *koreai.Config) { c.BaseURL = "platform.kore.ai" }},
		{"BaseURL", "host", func(c *koreai.Config) { c.BaseURL = "https:/platform.kore.ai" }},
		{"BaseURL", "no URL", func(c *koreai.Config) { c.BaseURL = "https://{{host}}" }},
		{"BaseURL", "https://", func(c *koreai.Config) { c.BaseURL = "ftp://platform.kore.ai" }},
		{"BaseURL", "credentials", func(c *koreai.Config) { c.BaseURL = "https://u:" + secret + "@platform.kore.ai" }},
		{"BaseURL", "query", func(c *koreai.Config) { c.BaseURL = "https://platform.kore.ai/?a=b" }},
		{"BaseURL", "no URL", func(c *koreai.Config) { c.BaseURL = "https://platform.kore.ai/\n" }},
		{"BotID", "missing", func(c *koreai.Config) { c.BotID = "" }},
		{"BotID", "no id", func(c *koreai.Config) { c.BotID = ".." }},
		{"BotID", "no id", func(c *koreai.Config) { c.BotID = "{{botId}}" }},
		{"ClientID", "missing", func(c *koreai.Config) { c.ClientID = "" }},
		{"ClientID", "white space", func(c *koreai.Config) { c.ClientID = " cs-1" }},
		{"ClientSecret", "missing", func(c *koreai.Config) { c.ClientSecret = "" }},
		{"ClientSecret", "white space", func(c *koreai.Config) { c.ClientSecret += "\n" }},
		{"API", "v1 or v2", func(c *koreai.Config) { c.API = "v3" }},
		{"ResponseTimeout", "out of range", func(c *koreai.Config) { c.ResponseTimeout = -time.Second }},
		{"ResponseTimeout", "out of range", func(c *koreai.Config) { c.ResponseTimeout = time.Hour }},
	} {
		cfg := good
		c.spoil(&cfg)
		_, err := koreai.New(cfg)
		var wrong *koreai.FieldError
		require.ErrorAs(t, err, &wrong, c.field)
		require.Equal(t, c.field, wrong.Field)
		require.Contains(t, wrong.Problem, c.says)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), secret)
	}
}

func TestPrintingAClientOrItsConfigurationShowsNoSecret(t *testing.T) {
	cfg := config("https://platform.kore.ai")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %+v %#v", cfg, cfg, cfg, cfg, client(t, cfg), client(t, cfg)), secret)
}

func TestTrap03To10And34And35TheBodyHasEveryParameterInItsDocumentedSpelling(t *testing.T) {
	s := send(t, call.DialRequest{
		To: call.Target{URI: "tel:+911234567890"}, Caller: "+127061657882", Trunk: "TRUNK",
		Metadata:         map[string]any{"jobPosition": "Software Engineer", "n": 7},
		MachineDetection: call.DetectionDetect, ThresholdWords: 4, RingTimeout: 60 * time.Second,
		Timers:        call.Timers{NoSpeech: 12 * time.Second, Decision: 15 * time.Second, Tone: 10 * time.Second, GreetingCompletion: 1500 * time.Millisecond},
		NotifyHeaders: map[string]string{"X-Tenant": "a"}, NoAMDEvents: true,
		CallControl: map[string]any{"sttProvider": "microsoft", "interim": true},
	})
	require.Equal(t, "POST", s.method)
	require.Equal(t, "/api/1.1/public/bot/st-e38782ff/smartassist/dialout", s.path)
	require.Empty(t, s.query)
	require.Equal(t, "application/json", s.header.Get("Content-Type"))
	require.NotContains(t, s.header, "Idempotency-Key")
	require.NotContains(t, s.header, "Authorization")
	require.JSONEq(t, `{
		"bot": "st-e38782ff", "target": "tel:911234567890", "caller": "+127061657882", "trunk": "TRUNK",
		"timers": {"noSpeechTimeoutMs": 12000, "decisionTimeoutMs": 15000, "toneTimeoutMs": 10000, "greetingCompletionTimeoutMs": 1500},
		"thresholdWordCount": 4, "machineDetection": "detect", "timeoutInMs": 60000, "amdEventsSubscription": [],
		"notifyHeaders": {"X-Tenant": "a"}, "callControlParameter": {"sttProvider": "microsoft", "interim": true},
		"notifyurl": "`+notifyURL+`", "metadata": {"jobPosition": "Software Engineer", "n": 7}}`, s.body)
}

func TestTrap34WhatWasNotAskedForIsNotSentButTheModeOfDetection(t *testing.T) {
	s := send(t, call.DialRequest{To: call.Target{URI: "tel:+14155550100"}, Caller: "123"})
	require.JSONEq(t, `{"bot":"st-e38782ff","target":"tel:14155550100","caller":"123","notifyurl":"`+notifyURL+`","machineDetection":"disabled"}`, s.body)
}

func TestTrap11TheTargetGoesWithoutThePlusAndTheCallerAndSIPAddressesAsTheyAre(t *testing.T) {
	for uri, want := range map[string]string{
		"tel:+14155550100":                 "tel:14155550100",
		"sip:1234567890@1.23.345.678:1234": "sip:1234567890@1.23.345.678:1234",
		"sips:alice%2B@[2001:db8::1]:5061": "sips:alice%2B@[2001:db8::1]:5061",
		"sip:o'brien&sons@gateway.example": "sip:o'brien&sons@gateway.example",
	} {
		req := request()
		req.To.URI, req.Caller = uri, " 0 123 "
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(send(t, req).body), &body))
		require.Equal(t, want, body["target"])
		require.Equal(t, " 0 123 ", body["caller"])
	}
}

func TestTrap36TheCampaignSpellingOfTheModeIsMappedAndOthersAreRefused(t *testing.T) {
	for mode, want := range map[call.Detection]string{"detect": "detect", "disconnect": "disconnect", "disabled": "disabled", "no": "disabled", "": "disabled"} {
		req := request()
		req.MachineDetection = mode
		require.Contains(t, send(t, req).body, `"machineDetection":"`+want+`"`)
	}
}

func TestARequestThatCanNeverBeSentIsRefusedWithoutAConnection(t *testing.T) {
	baseURL, requests := capture(t)
	for name, c := range map[string]struct {
		notifyURL, says string
		spoil           func(*call.DialRequest)
	}{
		"no notify URL":       {"", "notify URL", nil},
		"relative notify URL": {"/notify/x", "notify URL", nil},
		"other scheme":        {"ftp://redial.example/x", "notify URL", nil},
		"fragment":            {"https://redial.example/x#rc=5", "fragment", nil},
		"no target":           {notifyURL, "target", func(r *call.DialRequest) { r.To = call.Target{} }},
		"raw target":          {notifyURL, "phone.Parse", func(r *call.DialRequest) { r.To.URI = "+14155550100" }},
		"target without plus": {notifyURL, "phone.Parse", func(r *call.DialRequest) { r.To.URI = "tel:14155550100" }},
		"target with header":  {notifyURL, "phone.Parse", func(r *call.DialRequest) { r.To.URI = "sip:a@b\r\nX: y" }},
		"no caller":           {notifyURL, "caller", func(r *call.DialRequest) { r.Caller = "  " }},
		"unknown mode":        {notifyURL, "detection", func(r *call.DialRequest) { r.MachineDetection = "maybe" }},
		"negative ring":       {notifyURL, "ring timeout", func(r *call.DialRequest) { r.RingTimeout = -1 }},
		"tiny timer":          {notifyURL, "tone timer", func(r *call.DialRequest) { r.Timers.Tone = time.Microsecond }},
		"negative words":      {notifyURL, "words", func(r *call.DialRequest) { r.ThresholdWords = -1 }},
		"header name":         {notifyURL, "header", func(r *call.DialRequest) { r.NotifyHeaders = map[string]string{"a b": "c"} }},
		"header value":        {notifyURL, "header", func(r *call.DialRequest) { r.NotifyHeaders = map[string]string{"A": "c\r\nB: d"} }},
		"unwritable metadata": {notifyURL, "metadata", func(r *call.DialRequest) { r.Metadata = map[string]any{"n": math.Inf(1)} }},
	} {
		req := request()
		if c.spoil != nil {
			c.spoil(&req)
		}
		answer := client(t, config(baseURL)).Dial(t.Context(), req, c.notifyURL, time.Now().Add(time.Second))
		require.Equal(t, call.AnswerRefused, answer.Class, name)
		require.Contains(t, answer.Message, c.says, name)
		require.Zero(t, answer.HTTPStatus, name)
	}
	require.Empty(t, *requests)
}

func TestEveryRequestCarriesAFreshBareJWT(t *testing.T) {
	baseURL, requests := capture(t)
	cfg := config(baseURL)
	cfg.Subject = "redial"
	before := time.Now()
	for range 2 {
		require.Equal(t, call.AnswerPlaced, client(t, cfg).Dial(t.Context(), request(), notifyURL, time.Now().Add(time.Second)).Class)
	}
	ids := map[any]bool{}
	for _, s := range *requests {
		raw := s.header.Get("auth")
		require.False(t, strings.HasPrefix(raw, "Bearer"))
		token, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return []byte(secret), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
		require.NoError(t, err)
		claims := token.Claims.(jwt.MapClaims)
		require.Len(t, claims, 5)
		require.Equal(t, "redial", claims["sub"])
		require.Equal(t, clientID, claims["appId"])
		require.InDelta(t, before.Add(-30*time.Second).Unix(), claims["iat"], 2)
		require.InDelta(t, before.Add(5*time.Minute).Unix(), claims["exp"], 2)
		require.Regexp(t, `^[0-9a-f-]{36}$`, claims["jti"])
		require.Equal(t, "JWT", token.Header["typ"])
		ids[claims["jti"]] = true
	}
	require.Len(t, ids, 2)
}

func TestTheSubjectIsTheClientIDUnlessConfigured(t *testing.T) {
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(send(t, request()).header.Get("auth"), claims)
	require.NoError(t, err)
	require.Equal(t, clientID, claims["sub"])
}
