package console

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

//go:embed openapi.json
var document []byte

const (
	pageSize     = 100 // contacts, or suppressions, in a page, where the request does not say
	maxPage      = 500 // of them in a page at the most
	maxInDoubt   = 200 // attempts in doubt that are listed at the most, as by redial attempt list
	noCampaign   = "-" // names the contacts without a campaign, as in workflow ids
	maxParameter = 300 // bytes of a parameter; no id is longer
)

func (k *Console) api(g *gin.RouterGroup) {
	g.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", document) })
	g.GET("/contacts", k.contacts)
	g.GET("/contacts/:id", k.contact)
	g.GET("/attempts", k.attempts)
	g.GET("/capacity", k.capacity)
	g.GET("/suppressions", k.suppressions)
}

// shown is what redial show prints as JSON.
type shown struct {
	ledger.Contact
	Run json.RawMessage `json:"run,omitempty"` // live, when a worker answers
}

func (k *Console) contact(c *gin.Context) {
	id, err := url.PathUnescape(c.Param("id"))
	if err != nil || !text(id) {
		refuse(c, http.StatusBadRequest, "the id is no text: write it as one segment of a path, as in redial%2F-%2Fanna")
		return
	}
	ctx := c.Request.Context()
	contact, err := k.Ledger.Show(ctx, id)
	var unknown *ledger.NotFoundError
	var several *ledger.AmbiguousError
	switch {
	case errors.As(err, &several):
		refuse(c, http.StatusConflict, "the contact id is used in several campaigns: ask for one of "+strings.Join(several.WorkflowIDs, ", "))
		return
	case errors.As(err, &unknown):
		refuse(c, http.StatusNotFound, "there is no such contact: it was not dialed with this ledger")
		return
	case err != nil:
		k.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, shown{contact, k.live(ctx, contact.WorkflowID)})
}

func (k *Console) live(ctx context.Context, workflowID string) json.RawMessage {
	if k.Runs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveFor)
	defer cancel()
	return k.Runs.Status(ctx, workflowID)
}

// page is a page of contacts.
type page struct {
	Contacts []ledger.ContactLine `json:"contacts"`
	Next     string               `json:"next,omitempty"` // what to give as after for the next page; absent: this is the last
}

func (k *Console) contacts(c *gin.Context) {
	limit, err := size(c.Query("limit"))
	f, bad := contactFilter(c)
	if err = errors.Join(err, bad); err != nil {
		refuse(c, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	list, more, err := ledger.Page(limit, func(limit int) ([]ledger.ContactLine, error) {
		f.Limit = limit
		return k.Ledger.Contacts(c.Request.Context(), f)
	})
	if err != nil {
		k.fail(c, err)
		return
	}
	p := page{Contacts: list}
	if more {
		p.Next = list[limit-1].WorkflowID
	}
	c.JSON(http.StatusOK, p)
}

// contactFilter is what a request asks for, but for the size of the page.
func contactFilter(c *gin.Context) (f ledger.ContactFilter, err error) {
	f = ledger.ContactFilter{After: c.Query("after"), State: ledger.ContactState(c.Query("state")), Reason: followup.Reason(c.Query("reason")),
		Outcome: call.Outcome(c.Query("outcome")), Open: c.Query("open") == "true"}
	if name, given := c.GetQuery("campaign"); given {
		if f.Campaign = &name; name == noCampaign {
			f.Campaign = new(string)
		}
		err = named(name)
	}
	if f.After != "" && !text(f.After) {
		err = errors.Join(err, errors.New("after: give what the page before said as next"))
	}
	if f.State != "" && !slices.Contains(ledger.ContactStates(), f.State) {
		err = errors.Join(err, errors.New("state: give calling, held, waiting, paused or done"))
	}
	if f.Reason != "" && !slices.Contains(ledger.Reasons(), f.Reason) {
		err = errors.Join(err, errors.New("reason: give one that contacts wait for, such as window or retry"))
	}
	if f.Outcome != "" && !text(string(f.Outcome)) {
		err = errors.Join(err, errors.New("outcome: give one such as human, escalated or expired"))
	}
	return f, errors.Join(err, boolean("open", c.Query("open")))
}

// boolean checks a parameter that is true or false.
func boolean(name, given string) error {
	if given != "" && given != "true" && given != "false" {
		return fmt.Errorf("%s: give true or false", name)
	}
	return nil
}

// suppressionPage is a page of suppressions.
type suppressionPage struct {
	Suppressions []ledger.Suppression `json:"suppressions"`
	Next         string               `json:"next,omitempty"` // as of page
}

func (k *Console) suppressions(c *gin.Context) {
	limit, err := size(c.Query("limit"))
	f := ledger.SuppressionFilter{Kind: ledger.SuppressionKind(c.Query("kind")), Past: c.Query("all") == "true"}
	if f.Kind != "" && f.Kind != ledger.SuppressedNumber && f.Kind != ledger.SuppressedContact {
		err = errors.Join(err, errors.New("kind: give number or contact"))
	}
	err = errors.Join(err, boolean("all", c.Query("all")))
	if after := c.Query("after"); after != "" {
		var bad error
		if f.Before, bad = strconv.ParseInt(after, 10, 64); bad != nil || f.Before < 1 {
			err = errors.Join(err, errors.New("after: give what the page before said as next"))
		}
	}
	if err != nil {
		refuse(c, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	list, more, err := ledger.Page(limit, func(limit int) ([]ledger.Suppression, error) {
		f.Limit = limit
		return k.Ledger.Suppressions(c.Request.Context(), f)
	})
	if err != nil {
		k.fail(c, err)
		return
	}
	p := suppressionPage{Suppressions: list}
	if more {
		p.Next = strconv.FormatInt(list[limit-1].ID, 10)
	}
	c.JSON(http.StatusOK, p)
}

// size is how many contacts a page has.
func size(given string) (int, error) {
	if given == "" {
		return pageSize, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > maxPage {
		return 0, fmt.Errorf("limit: give a number from 1 to %d", maxPage)
	}
	return n, nil
}

func named(campaign string) error {
	if !text(campaign) {
		return errors.New("campaign: give the name of a campaign, or - for contacts without one")
	}
	return nil
}

// text tells whether a parameter can be part of what the ledger holds: PostgreSQL takes neither other bytes nor NUL.
func text(s string) bool {
	return s != "" && len(s) <= maxParameter && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

func (k *Console) attempts(c *gin.Context) {
	if c.Query("state") != "unknown" {
		refuse(c, http.StatusBadRequest, "state: give unknown; only attempts in doubt are listed")
		return
	}
	list, err := k.Ledger.UnknownAttempts(c.Request.Context(), maxInDoubt)
	if err != nil {
		k.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, list)
}

func (k *Console) capacity(c *gin.Context) {
	capacity, err := k.Ledger.Capacity(c.Request.Context())
	if err != nil {
		k.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, capacity)
}
