package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

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
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
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
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	c.JSON(http.StatusOK, gin.H{"target": c.Param("target"), "script": text})
}

func (s *Simulator) deleteScript(c *gin.Context) {
	if err := s.Script(c.Param("target"), ""); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
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
	switch by {
	case "":
		by = ByCaller
	case ByCaller, ByBot, ByGateway:
	default:
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
	select {
	case call.hangUp <- by:
	default: // it is being hung up already
	}
	return nil
}

func (s *Simulator) postEnd(c *gin.Context) {
	err := s.End(c.Param("sid"), Party(c.Query("by")))
	switch {
	case errors.Is(err, ErrNoSuchCall):
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
	case errors.Is(err, ErrCallEnded):
		c.JSON(http.StatusConflict, gin.H{"error": err.Error()})
	case err != nil:
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
	default:
		c.Status(http.StatusAccepted)
	}
}
