package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
)

// problem is every answer that is no success, as RFC 9457 has it. Its type is about:blank: the status says what kind it is.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// refuse ends a request with a problem; the detail says what to do.
func refuse(c *gin.Context, status int, detail string) {
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(status, problem{http.StatusText(status), status, detail})
}

// fail ends a request that the ledger did not answer. What it said is for the log.
func (k *Console) fail(c *gin.Context, err error) {
	if errors.Is(c.Request.Context().Err(), context.Canceled) {
		c.Abort() // nobody is there to be told
		return
	}
	k.Logger.Error("the ledger did not answer", zap.String("route", c.FullPath()), zap.Error(err))
	c.Header("Retry-After", "5")
	refuse(c, http.StatusServiceUnavailable, "the ledger did not answer; ask again")
}
