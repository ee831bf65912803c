package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// routes lays out everything that the simulator serves.
func (s *Simulator) routes() *gin.Engine {
	g := gin.New()
	// A bot id may hold an escaped slash, and a redirect would answer a dialout with 307.
	g.UseRawPath, g.RedirectTrailingSlash, g.HandleMethodNotAllowed = true, false, true
	g.Use(func(c *gin.Context) { c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, bodyLimit) })
	g.NoRoute(notFound)
	g.NoMethod(func(c *gin.Context) {
		writeError(c, http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "method "+c.Request.Method+" is not allowed here")
	})

	bot := g.Group("/api/1.1/public/bot/:botId")
	bot.POST("/smartassist/dialout", s.dialout)
	bot.POST("/:version/smartassist/dialout", s.dialoutV2)

	g.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	inspection := g.Group("/simulator")
	inspection.GET("/calls", s.getCalls)
	inspection.DELETE("/calls", func(c *gin.Context) { s.Reset(); c.Status(http.StatusNoContent) })
	inspection.POST("/calls/:sid/end", s.postEnd)
	inspection.GET("/stats", func(c *gin.Context) { c.JSON(http.StatusOK, s.Stats()) })
	inspection.PUT("/scripts/:target", s.putScript)
	inspection.DELETE("/scripts/:target", s.deleteScript)
	inspection.POST("/calls/:sid/notify", s.postNotify)
	inspection.PUT("/profile", s.putProfile)
	inspection.POST("/clock/advance", s.postAdvance)
	inspection.PUT("/outage", s.putOutage)
	inspection.DELETE("/outage", func(c *gin.Context) { s.EndOutage(); c.Status(http.StatusNoContent) })
	return g
}

func notFound(c *gin.Context) {
	writeError(c, http.StatusNotFound, http.StatusNotFound, "nothing is served at "+c.Request.URL.Path)
}

// getCalls serves the calls of all targets, or of the one in the query.
func (s *Simulator) getCalls(c *gin.Context) {
	wanted := c.Query("target")
	if wanted == "" {
		c.JSON(http.StatusOK, gin.H{"calls": s.Calls()})
		return
	}
	// A plus sign that was not escaped in the query has arrived as a space.
	calls, err := s.CallsTo(strings.ReplaceAll(wanted, " ", "+"))
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"calls": calls})
}

// putScript takes a script as plain text, or as JSON {"script": "…"}.
func (s *Simulator) putScript(c *gin.Context) {
	raw, err := io.ReadAll(c.Request.Body)
	text := strings.TrimSpace(string(raw))
	if err == nil && strings.HasPrefix(text, "{") {
		var wrapped struct {
			Script string `json:"script"`
		}
		err = json.Unmarshal(raw, &wrapped)
		text = wrapped.Script
	}
	if err == nil && text == "" {
		err = errors.New(`the script is empty: send one like busy,human, or DELETE it`)
	}
	if err == nil {
		err = s.Script(c.Param("target"), text)
	}
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"target": c.Param("target"), "script": text})
}

func (s *Simulator) deleteScript(c *gin.Context) {
	if err := s.Script(c.Param("target"), ""); err != nil {
		fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}

// The errors of [Simulator.End].
var (
	ErrNoSuchCall = errors.New("no such call")
	ErrCallEnded  = errors.New("the call has ended")
)

// End hangs up a live call: in the name of by (default [ByCaller]) when it has been answered, and as a cancelled call (487)
// while it rings. It returns before the call has ended. Errors: [ErrNoSuchCall], [ErrCallEnded].
func (s *Simulator) End(sid string, by Party) error {
	switch {
	case by == "":
		by = ByCaller
	case !by.known():
		return fmt.Errorf("simulator: end call %s by %q: give caller, bot or gateway", sid, by)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call, known := s.era.bySID[sid]
	if !known {
		return fmt.Errorf("simulator: end call %s: %w", sid, ErrNoSuchCall)
	}
	if !call.record.Live() {
		return fmt.Errorf("simulator: end call %s: %w", sid, ErrCallEnded)
	}
	s.clock.enter()
	select {
	case call.hangUp <- by:
	default: // it is being hung up already
		s.clock.leave()
	}
	return nil
}

func (s *Simulator) postEnd(c *gin.Context) {
	if err := s.End(c.Param("sid"), Party(c.Query("by"))); err != nil {
		fail(c, err)
		return
	}
	c.Status(http.StatusAccepted)
}

// postNotify sends a notification that the query describes.
func (s *Simulator) postNotify(c *gin.Context) {
	e := Event{Name: c.Query("event"), By: Party(c.Query("by")), AMD: c.Query("amd")}
	if sip := c.Query("sip"); sip != "" {
		var err error
		if e.SIP, err = strconv.Atoi(sip); err != nil {
			fail(c, fmt.Errorf("sip %q: give 300 to 999", sip))
			return
		}
	}
	n, err := s.Notify(c.Request.Context(), c.Param("sid"), e)
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, n)
}

// putProfile takes a name, or a profile as JSON.
func (s *Simulator) putProfile(c *gin.Context) {
	var p Profile
	raw, err := io.ReadAll(c.Request.Body)
	if text := strings.TrimSpace(string(raw)); err == nil && strings.HasPrefix(text, "{") {
		err = unmarshalStrictly(raw, &p)
	} else if err == nil {
		p, err = NamedProfile(strings.Trim(text, `"`))
	}
	if err == nil {
		err = s.SetProfile(p)
	}
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, p)
}

// postAdvance answers when all that was due has happened.
func (s *Simulator) postAdvance(c *gin.Context) {
	by, err := time.ParseDuration(c.Query("by"))
	if err != nil {
		fail(c, fmt.Errorf("by %q: give a duration, as in ?by=30s", c.Query("by")))
		return
	}
	if err = s.Advance(c.Request.Context(), by); err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"advanced": by.String()})
}

// putOutage takes {"kind":"http=503","for":"10m"}; without a time it lasts until it is taken back.
func (s *Simulator) putOutage(c *gin.Context) {
	var asked struct {
		Kind string `json:"kind"`
		For  string `json:"for,omitempty"`
	}
	var lasting time.Duration
	raw, err := io.ReadAll(c.Request.Body)
	if err == nil {
		err = unmarshalStrictly(raw, &asked)
	}
	if err == nil && asked.For != "" {
		if lasting, err = time.ParseDuration(asked.For); err == nil && lasting == 0 {
			err = errors.New(`an outage for no time: leave "for" out for one without an end, or DELETE the one there is`)
		}
	}
	if err == nil {
		err = s.Outage(asked.Kind, lasting)
	}
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, asked)
}

// unmarshalStrictly reads JSON in which a misspelt key is an error.
func unmarshalStrictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// fail answers an inspection request with an error.
func fail(c *gin.Context, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, ErrNoSuchCall):
		status = http.StatusNotFound
	case errors.Is(err, ErrCallEnded), errors.Is(err, ErrNoNotifyURL):
		status = http.StatusConflict
	case errors.Is(err, ErrClosed):
		status = http.StatusServiceUnavailable
	}
	c.JSON(status, gin.H{"error": err.Error()})
}
