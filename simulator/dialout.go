package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
)

// bodyLimit bounds every request body.
const bodyLimit = 64 << 10

// rateLimitText is the gateway's documented message for a request above the rate.
const rateLimitText = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."

// dialoutV2 serves the second version of the endpoint, whose version the documentation writes both "V2" and "v2". For a
// simulator the versions do not differ: V2 starts detection sooner, and nothing else.
func (s *Simulator) dialoutV2(c *gin.Context) {
	if !strings.EqualFold(c.Param("version"), "v2") {
		notFound(c)
		return
	}
	s.dialout(c)
}

// dialout serves POST /api/1.1/public/bot/{botId}/smartassist/dialout.
func (s *Simulator) dialout(c *gin.Context) {
	down := s.meetOutage()
	if down != nil && !down.answer.places() {
		s.turnAway(c, *down)
		return
	}
	d, refused := s.admit(c)
	if refused != nil {
		s.refuse(c, refused)
		return
	}
	chosen, n, thrown, err := s.choose(d)
	if err != nil {
		s.refuse(c, badRequest(err))
		return
	}
	if !chosen.answer.places() {
		s.turnAway(c, chosen)
		return
	}
	if down != nil {
		// What the outage does to the answer comes before what the script does.
		chosen.answer, chosen.retryAfter = down.answer, down.retryAfter
	}
	call, open := s.place(d, chosen, n, thrown)
	if !open {
		s.refuse(c, &refusal{"closed", http.StatusServiceUnavailable, http.StatusServiceUnavailable, "the simulator is closed"})
		return
	}
	s.log.Debug("call placed", zap.String("sid", call.record.SID), zap.String("step", chosen.text))
	s.await(c.Request.Context(), call)
	s.respond(c, call)
}

// admit checks a request as far as the gateway does before it knows who is dialed: who asks, how often, and what for.
func (s *Simulator) admit(c *gin.Context) (d dialRequest, refused *refusal) {
	if refused = s.verifier.verify(c.GetHeader("auth")); refused != nil {
		return d, refused
	}
	s.mu.Lock()
	wait, within := s.era.requests.admit(s.clock.made.Add(s.clock.now()))
	s.mu.Unlock()
	if !within {
		if s.config.RetryAfter {
			c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		}
		return d, &refusal{"rate_limit", s.config.RateStatus, s.config.RateStatus, rateLimitText}
	}
	if bot := c.Param("botId"); bot != s.config.BotID {
		return d, &refusal{"bot", http.StatusNotFound, http.StatusNotFound, fmt.Sprintf("bot %q not found: check the botId in the path", bot)}
	}
	raw, err := io.ReadAll(c.Request.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return d, &refusal{"too_large", http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes: send less metadata", bodyLimit)}
	case err != nil:
		return d, badRequest(fmt.Errorf("the body could not be read: %w", err))
	}
	if d, err = parseDial(raw); err != nil {
		return d, badRequest(err)
	}
	if d.bot != "" && d.bot != s.config.BotID {
		return d, badRequest(fmt.Errorf("bot %q in the body is not the bot of the path", d.bot))
	}
	return d, nil
}

func badRequest(err error) *refusal {
	return &refusal{"bad_request", http.StatusBadRequest, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// refuse answers a request that places no call, and counts it.
func (s *Simulator) refuse(c *gin.Context, r *refusal) {
	s.count(r.kind)
	writeError(c, r.status, r.code, r.msg)
}

func (s *Simulator) count(refusedAs string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era.stats.Refused[refusedAs]++
}

// writeError writes the error body of the gateway's public APIs.
func writeError(c *gin.Context, status, code int, msg string) {
	c.JSON(status, gin.H{"errors": []gin.H{{"msg": msg, "code": code}}})
}

// turnAway carries out a step that places no call.
func (s *Simulator) turnAway(c *gin.Context, chosen step) {
	switch chosen.answer.word {
	case outageRefuse:
		s.count(outageRefuse)
		reset(c)
		return
	case "reset_before":
		// The request has been read, and its sender cannot know what became of it.
		_, _ = io.Copy(io.Discard, c.Request.Body)
		s.count("reset_before")
		reset(c)
		return
	}
	s.count("http_" + strconv.Itoa(chosen.answer.status))
	writeStatus(c, chosen)
}

// await holds the answer back for as long as the script says. A dialer that gives up meanwhile changes nothing about
// the call.
func (s *Simulator) await(asking context.Context, call *liveCall) {
	ctx, cancel := context.WithCancel(asking)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	sleep(ctx, call.step.answer.slow)
	if call.step.answer.early {
		select {
		case <-call.delivered:
		case <-ctx.Done():
		}
	}
}

// respond answers a request whose call is placed: as it should, or as the script says.
func (s *Simulator) respond(c *gin.Context, call *liveCall) {
	said := strconv.Itoa(s.config.SuccessStatus)
	switch call.step.answer.word {
	case "lost_answer":
		said = "reset"
	case "http":
		said = strconv.Itoa(call.step.answer.status)
	}
	s.mu.Lock()
	call.record.Answer = said
	s.mu.Unlock()

	switch call.step.answer.word {
	case "lost_answer":
		reset(c)
	case "http":
		writeStatus(c, call.step)
	case "rubbish":
		c.Data(s.config.SuccessStatus, "text/html", []byte("<html><body><h1>It works!</h1>"))
	case "no_ids":
		c.JSON(s.config.SuccessStatus, gin.H{})
	default:
		ids := gin.H{"sid": call.record.SID, "callId": call.record.CallID}
		if s.config.AnswerConversationID {
			ids["conversationId"] = call.record.ConversationID
		}
		c.JSON(s.config.SuccessStatus, ids)
	}
}

// writeStatus answers with the HTTP status of a step, and the body that is known or likely to come with it.
func writeStatus(c *gin.Context, chosen step) {
	status := chosen.answer.status
	if chosen.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(chosen.retryAfter.Seconds()))))
	}
	switch {
	case status < 400:
		// To where it came from: a dialer that follows redirects dials twice.
		c.Header("Location", c.Request.URL.RequestURI())
		c.Status(status)
		c.Writer.WriteHeaderNow()
	case status == http.StatusTooManyRequests:
		writeError(c, status, status, rateLimitText)
	case status == 480:
		// No status of HTTP's own: the engine answers so when it has no capacity.
		c.JSON(status, gin.H{"msg": "no available feature servers at this time"})
	case status == http.StatusInternalServerError:
		c.JSON(status, gin.H{"msg": "Internal Server Error"})
	case status > http.StatusInternalServerError:
		// A proxy speaks here, not the API.
		text := strconv.Itoa(status) + " " + http.StatusText(status)
		c.Data(status, "text/html", []byte("<html><head><title>"+text+"</title></head><body><center><h1>"+text+"</h1></center></body></html>"))
	default:
		writeError(c, status, status, http.StatusText(status))
	}
}

// reset breaks the connection off without an answer. Lingering for no time makes the kernel send RST instead of an
// orderly end.
func reset(c *gin.Context) {
	var under http.ResponseWriter = c.Writer
	if wrapper, wraps := under.(interface{ Unwrap() http.ResponseWriter }); wraps {
		under = wrapper.Unwrap()
	}
	if _, can := under.(http.Hijacker); !can {
		// HTTP/2 has no connection to give away; the server resets the stream instead.
		panic(http.ErrAbortHandler)
	}
	conn, _, err := c.Writer.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		_ = tcp.SetLinger(0) // without it the connection still ends, only more politely
	}
	_ = conn.Close()
	c.Abort()
}
