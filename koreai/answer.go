package koreai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"redial/call"
)

// limitText recognises the gateway's rate limit in an error of any shape. Its documentation gives only the sentence,
// "You've exceeded the per-minute rate limit. Please wait for sometime before retrying.", and no status. Limits on
// something else, such as the size of a field, must not match: they would be tried again for ever.
var limitText = regexp.MustCompile(`(?i)\brate[- ]?limit|per[- ]minute|too many requests|too many calls|requests? limit|throttl`)

// The bounds of what Retry-After may ask for. Below a second it says nothing; above an hour it is believed no longer.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// statusNoServer is no HTTP status of any standard: the engine beneath the gateway answers with SIP's 480 when it has no
// free server.
const statusNoServer = 480

// classify says what an HTTP answer means, by its status and, for limits alone, its words.
func classify(r reply, now time.Time, clean scrubber) call.DialAnswer {
	answer := call.DialAnswer{HTTPStatus: r.status}
	said, advice := words(r.body), ""
	retryAfter, stated := parseRetryAfter(r.header.Get("Retry-After"), now)
	switch class := r.status / 100; {
	case class == 2:
		answer.Class = call.AnswerPlaced
		ids, _ := readObject(r.body)
		answer.SID, answer.CallID, answer.ConversationID = ids.id("sid"), ids.id("callid"), ids.id("conversationid")
		if answer.SID+answer.CallID+answer.ConversationID == "" {
			answer.Message = clean.line("the gateway took the call and named no id")
		}
		return answer
	case class == 3:
		answer.Class = call.AnswerNotPlaced
		said = "it redirects to " + location(r.header.Get("Location"))
		advice = "; redirects are not followed: set the base URL to the final address"
	case r.status == http.StatusTooManyRequests, r.status == statusNoServer,
		r.status == http.StatusServiceUnavailable && stated,
		class == 4 && limitText.Match(r.body):
		answer.Class, answer.RetryAfter = call.AnswerThrottled, retryAfter
	case class == 4:
		answer.Class = call.AnswerRefused
		advice = remedy(r.status)
	default:
		answer.Class = call.AnswerUnknown
	}
	head := "the gateway answered " + statusLine(r.status)
	if said = clean.fit(said, maxMessage-len(head)-len(": ")-len(advice)); said != "" {
		head += ": " + said
	}
	answer.Message = clean.line(head + advice)
	return answer
}

func statusLine(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return strconv.Itoa(status)
}

func remedy(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "; check client id and secret, and that the scope SmartAssist Dialout is published"
	case http.StatusNotFound:
		return "; check base URL and bot id"
	}
	return ""
}

// location shows where a redirect leads, without what may be a credential.
func location(header string) string {
	u, err := url.Parse(header)
	if err != nil || header == "" {
		return "nowhere"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// parseRetryAfter reads both forms of Retry-After (RFC 9110, 10.2.3). What is neither counts as not stated.
func parseRetryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseUint(header, 10, 63); err == nil {
		seconds = min(seconds, uint64(maxRetryAfter/time.Second))
		return max(time.Duration(seconds)*time.Second, minRetryAfter), true
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), minRetryAfter), maxRetryAfter), true
}

var (
	markup    = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>|<[^>]*>`)
	htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
)

// words finds what an error's body says, in each shape that the platform and the engine beneath it are known to use:
// {"errors":[{"msg":…,"code":…}]}, {"errors":["…"]}, {"msg":…}, {"message":…}, plain text, and a proxy's HTML page.
func words(body []byte) string {
	if object, err := readObject(body); err == nil {
		for _, key := range []string{"errors", "error", "msg", "message", "reason"} {
			if said := wordsOf(object[key]); said != "" {
				return said
			}
		}
		return string(body)
	}
	text := string(body)
	if title := htmlTitle.FindStringSubmatch(text); title != nil && strings.TrimSpace(title[1]) != "" {
		return title[1]
	}
	return markup.ReplaceAllString(text, " ")
}

func wordsOf(raw json.RawMessage) string {
	if plain := text(raw); plain != "" {
		return plain
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		var said []string
		for _, entry := range list {
			if one := wordsOf(entry); one != "" {
				said = append(said, one)
			}
			if len(said) == 3 {
				break
			}
		}
		return strings.Join(said, "; ")
	}
	object, err := readObject(raw)
	if err != nil {
		return ""
	}
	said := first(object.text("msg"), object.text("message"), object.text("reason"))
	if code := object.text("code"); code != "" {
		said = strings.TrimSpace(said + " (code " + code + ")")
	}
	return said
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
