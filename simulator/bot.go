package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MetadataResultURL is the key of a request's metadata under which the bot looks for the URL at which it hands in its result.
const MetadataResultURL = "redial_result_url"

const (
	// handInBefore is how long before the end of the call the bot hands in its result, on the gateway's clock.
	handInBefore = time.Second
	// callbackIn is the time of a callback, from its being handed in, in real time.
	callbackIn = 2 * time.Hour
)

// The words for a result.
const (
	resultConfirmed = "confirmed"
	resultDeclined  = "declined"
	resultCallback  = "callback"
)

var resultWords = []string{resultConfirmed, resultDeclined, resultCallback, "opted_out", "unfinished"}

// botScript is what the bot says of the conversation.
type botScript struct {
	result     string         // a word of resultWords; "" says nothing
	callbackIn *time.Duration // nil: callbackIn
	late       time.Duration  // zero: before the end of the call
	duplicate  bool
	contradict bool
}

// errNoResultURL is on record for a bot that had nowhere to hand in its result.
var errNoResultURL = errors.New("the request's metadata has no text under " + MetadataResultURL)

// resultURL is where the request's metadata tells the bot to hand in its result; "" nowhere.
func resultURL(metadata map[string]json.RawMessage) (url string) {
	if json.Unmarshal(metadata[MetadataResultURL], &url) != nil {
		return ""
	}
	return url
}

// say writes a result out.
func (b botScript) say(word, fault string) letter {
	p := payload{{"result", word}}
	if word == resultCallback {
		in := callbackIn
		if b.callbackIn != nil {
			in = *b.callbackIn
		}
		p = append(p, field{"at", time.Now().Add(in).UTC().Format(time.RFC3339)})
	}
	body, _ := p.MarshalJSON() // of strings only
	return letter{kind: kindResult, event: word, fault: fault, body: body}
}

// handIn is the bot's last step before the call ends: it waits for the answer, as a conversation does.
func (c *liveCall) handIn() {
	if c.handedIn || c.step.bot.result == "" || c.step.bot.late > 0 {
		return
	}
	c.handedIn = true
	c.sendResult()
}

// handInLate hands in the result when the call is over.
func (c *liveCall) handInLate(life context.Context) {
	late := c.step.bot.late
	if c.step.bot.result == "" || late == 0 {
		return
	}
	c.sim.begin(func() {
		if c.sim.clock.sleep(life, late) {
			c.sendResult()
		} else {
			c.drop(c.step.bot.say(c.step.bot.result, ""))
		}
	})
}

// sendResult hands in what the script says, one after the other.
func (c *liveCall) sendResult() {
	b := c.step.bot
	letters := []letter{b.say(b.result, "")}
	if b.contradict {
		other := resultDeclined
		if b.result == resultDeclined {
			other = resultConfirmed
		}
		letters = append(letters, b.say(other, faultContradiction))
	}
	for _, l := range letters {
		if l.url = c.request.resultURL; l.url == "" {
			c.lose(l, errNoResultURL)
			continue
		}
		c.send(l)
	}
}

// lose records a letter that could not be sent.
func (c *liveCall) lose(l letter, why error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	n, stats := c.enter(l)
	n.Error = why.Error()
	stats.Dropped++
}

// check reports words for the bot that cannot be meant.
func (b botScript) check(said map[string]bool) error {
	for _, word := range []string{"callback_in", "late_result", "duplicate_result", "contradict_result"} {
		if said[word] && b.result == "" {
			return fmt.Errorf("%q is about what the bot hands in: write result=confirmed+%s", word, word)
		}
	}
	if said["callback_in"] && b.result != resultCallback {
		return fmt.Errorf("%q is the time of a callback: write result=callback", "callback_in")
	}
	return nil
}
